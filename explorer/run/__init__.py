"""Jobs that join the rooms on this machine: train members, profile models, the quickstart."""
