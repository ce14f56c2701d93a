"""`explorer zoo scale`: what a scaling rule makes of a family, and what that costs."""

import click

from explorer.commands.common import json_option, print_json, zoo_errors
from explorer.errors import UsageError


@click.command("scale", short_help="The configurations a scaling rule chooses for a size or budget.")
@click.argument("name")
@click.option("--phi", "phis", metavar="LIST", help="Compound coefficients, e.g. 0..7 or 2.5.")
@click.option("--budget", metavar="KIND<=AMOUNT", help="macs<=400M or parameters<=5M: each rule's largest.")
@click.option(
    "--rule", "rules", multiple=True, metavar="RULE", help="Ask only this rule; may be given again."
)
@json_option
def command(name: str, phis: str | None, budget: str | None, rules: tuple[str, ...], as_json: bool) -> None:
    """Scale NAME: a family (`efficientnet`, `tinynet`, `resnet-rs`, `regnet`, ...) or a variant of one.

    With --phi, one network a phi, counted, beside what was published. Whole phi of EfficientNet are the
    published B0 to B8; with --rule compound the rule's own. With --budget, the largest network each rule has
    within it. With neither, the family's published networks.
    """
    if phis is not None and budget is not None:
        raise UsageError("give --phi or --budget, not both")
    if phis is not None and set(rules) - {"compound"}:
        raise UsageError(f"--phi is of the compound rule, got --rule {', '.join(rules)}")
    if rules and phis is None and budget is None:
        raise UsageError("--rule says which rules meet a --budget; give one, e.g. --budget 'macs<=400M'")
    from explorer.report import scaling as layout
    from explorer.run import scaled
    from explorer.run.progress import progress
    from zoo.scaling.rules import scalable

    with zoo_errors(), progress("scale") as update:
        to = scalable(name)
        base = f"{to.base.model}@{to.base.resolution}"
        counter = scaled.Counter(update)
        if budget is not None:
            asked = scaled.budget_of(budget)
            names = scaled.chosen_rules(to, rules)
            found = scaled.choices(to, asked, names, counter)
            limit = (asked.axis, asked.limit)
            document = layout.choices_document(to.family.name, base, limit, found)
            text = layout.choices_text(base, limit, found)
        elif phis is not None:
            rows = scaled.phi_rows(to, scaled.parse_phis(phis), counter, by_rule="compound" in rules)
            document = layout.rows_document(to.family.name, base, rows)
            text = layout.rows_text(rows)
            if any(row.rule_phi is not None for row in rows):
                text += f"\n\n{_BY_HAND}"
        else:
            rows = scaled.published_rows(to, counter)
            document = layout.rows_document(to.family.name, base, rows)
            text = layout.rows_text(rows)
            if any(row.formula is not None for row in rows):
                text += f"\n\n{layout.formula_text(rows, 'tiny formula')}\n\n{_THROUGH}"
    if as_json:
        print_json(document)
    else:
        click.echo(text)


_BY_HAND = (
    "B1 to B8 have coefficients rounded by hand, not 1.1^phi, 1.2^phi and 1.15^phi: rule's phi is the one\n"
    "whose depth x width^2 x resolution^2 is theirs. The rule's own networks: --rule compound."
)
_THROUGH = (
    "The networks behind the paper's regression were not released: the formula here goes through A to E and\n"
    "is an interpolation elsewhere; its width is the one whose counted MACs meet the share."
)
