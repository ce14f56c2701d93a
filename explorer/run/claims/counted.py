"""Count what claims are about: each model once, whichever claims it stands in."""

from contextlib import ExitStack
from functools import cache

from explorer.data.claims import Quantity
from explorer.errors import UsageError
from explorer.record import Cost
from explorer.run.claims.blocks import PREFIX, find_block
from explorer.run.countable import Countable, countable
from explorer.spec import ModelSpec, parse_model


class Counts:
    """Costs of one example through models by name, counted on meta tensors; a context, for speed."""

    def __init__(self) -> None:
        self._costs: dict[tuple[str, bool], Cost] = {}
        self._open = ExitStack()

    def __enter__(self) -> "Counts":
        from explorer.measure.meta_speed import KernelsOnce

        self._open.enter_context(KernelsOnce())
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def cost(self, model: str, *, deploy: bool = False) -> Cost:
        """Return what one example through ``model`` (``timm:dpn98@224``) costs.

        Args:
            model: a name that `explorer count` takes.
            deploy: with batch norms folded and branches merged.

        Raises:
            UsageError: the zoo does not know the name, or an operator of it has no formula.
        """
        key = (model, deploy)
        if key not in self._costs:
            from explorer.accounting import count
            from explorer.measure.trace import trace_model

            subject = buildable(model, weights=deploy)
            network = subject.network
            if deploy:
                from explorer.measure.deploy import deploy_form

                network = deploy_form(network, subject.input_shape())
            cost = count(trace_model(network, subject.input_shape()))
            if cost.uncounted:
                raise UsageError(f"{model} runs operators without a formula: {', '.join(cost.uncounted)}")
            self._costs[key] = cost
        return self._costs[key]

    def quantity(self, model: str, quantity: Quantity, *, deploy: bool = False) -> float:
        """Return one counted quantity of a model, or the size of the search space of that name.

        Raises:
            UsageError: see `cost`; no such search space.
        """
        if quantity is Quantity.SPACE_SIZE:
            return float(search_space_size(model))
        return float(getattr(self.cost(model, deploy=deploy), quantity.value))


def buildable(model: str, *, weights: bool = False) -> Countable:
    """Return the network of a name; with ``weights`` in memory, else on the meta device.

    Raises:
        UsageError: the zoo refuses the name.
    """
    if model.startswith(PREFIX):
        return _block(model, weights)
    from zoo import ZooError, build

    spec: ModelSpec = parse_model(model)
    try:
        subject = countable(spec)
        if weights:
            network = build(
                subject.model.name,
                in_channels=subject.channels,
                num_classes=subject.classes or 1,
                resolution=subject.model.resolution,
            )
            return Countable(
                model=subject.model, network=network, channels=subject.channels, classes=subject.classes
            )
    except ZooError as error:
        raise UsageError(str(error)) from error
    return subject


def _block(model: str, weights: bool) -> Countable:
    from explorer.measure.trace import build_on_meta

    name, _, side = model.removeprefix(PREFIX).partition("@")
    block = find_block(name)
    if not side.isdecimal():
        raise UsageError(f"{model} needs a resolution, e.g. {PREFIX}{name}@224")
    network, note = (block.make(), "") if weights else build_on_meta(block.make)
    spec = ModelSpec(name, int(side))
    return Countable(model=spec, network=network.eval(), channels=block.channels, classes=None, note=note)


@cache
def search_space_size(name: str) -> int:
    """Return how many sub-networks the search space ``name`` has.

    Raises:
        UsageError: no such space.
    """
    from explorer.errors import unknown_name
    from zoo.supernets import spaces

    if name not in spaces():
        raise UsageError(str(unknown_name("search space", name, spaces())))
    return spaces()[name].size
