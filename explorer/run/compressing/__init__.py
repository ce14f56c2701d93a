"""Members made smaller, or several made one: pruned, merged, quantised; and what that cost in accuracy.

`judging` tells accuracies and paired differences on the `report` split; the others make what is judged.
"""
