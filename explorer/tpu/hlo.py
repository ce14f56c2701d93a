"""Add up the cycles that XLA's TPU compiler wrote beside every instruction of a compiled program.

The compiler leaves its own cost estimate, ``estimated_cycles``, in the ``backend_config`` of each instruction
of the scheduled program. What is executed is the ENTRY computation, and from it loop bodies (as often as
the loop turns), branches (the dearest) and calls; a fusion carries one estimate for all that it holds.
Asynchronous copies carry none.
"""

import re
from dataclasses import dataclass

from explorer.errors import InputDataError

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .*\{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*)$")
_OPCODE = re.compile(r"(?:^|\s)([a-z][a-z0-9\-]*)\(")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_NAMED = {name: re.compile(name + r"=%?([\w.\-]+)") for name in ("body", "condition", "to_apply", "calls")}
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TWO_BRANCHES = re.compile(r"(?:true|false)_computation=%?([\w.\-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycles:
    """What the compiler expects of one run of a program."""

    cycles: int
    custom_calls: int
    """Calls of the compiler's own routines; its roofline books each as -1 second."""
    loops: int
    unknown_loops: int
    """Loops whose turns could not be read off: counted as one turn, so ``cycles`` is too low."""


@dataclass(frozen=True, slots=True)
class _Instruction:
    name: str
    opcode: str
    text: str
    """Type, opcode, operands and attributes."""
    root: bool

    @property
    def operands(self) -> list[str]:
        inside = self.text[self.text.index(self.opcode + "(") + len(self.opcode) + 1 :]
        return re.findall(r"%([\w.\-]+)", inside[: inside.index(")")])

    def named(self, attribute: str) -> str | None:
        found = _NAMED[attribute].search(self.text)
        return found[1] if found else None


_Computation = dict[str, _Instruction]


def read_cycles(text: str) -> Cycles:
    """Return the cycles of a compiled program.

    Args:
        text: the optimised, scheduled HLO module, ``compiled.as_text()``.

    Raises:
        InputDataError: no ENTRY computation, or no instruction of it carries an estimate.
    """
    computations, entry = _computations(text)
    if entry is None:
        raise InputDataError("the compiled program's text has no ENTRY computation")
    if not _CYCLES.search(text):
        raise InputDataError(
            "the compiled program's text holds no estimated_cycles; another compiler version?"
        )
    return _cycles_of(entry, computations, depth=0)


def _computations(text: str) -> tuple[dict[str, _Computation], str | None]:
    found: dict[str, _Computation] = {}
    entry, current = None, None
    for line in text.splitlines():
        if header := _COMPUTATION.match(line):
            current = found.setdefault(header[2], {})
            entry = header[2] if header[1] else entry
        elif line.startswith("}"):
            current = None
        elif current is not None and (match := _INSTRUCTION.match(line)):
            # Types hold upper-case words before a bracket, T(8,128), so the first lower-case one is it.
            opcode = _OPCODE.search(match[3])
            if opcode:
                current[match[2]] = _Instruction(match[2], opcode[1], match[3], bool(match[1]))
    return found, entry


def _cycles_of(name: str, computations: dict[str, _Computation], depth: int) -> Cycles:
    if depth > 50 or name not in computations:
        raise InputDataError(f"the compiled program's text refers to {name!r}, which cannot be followed")
    cycles = calls = loops = unknown = 0
    for instruction in computations[name].values():
        own = _CYCLES.search(instruction.text)
        cycles += int(own[1]) if own else 0
        calls += instruction.opcode == "custom-call"
        inner = [_cycles_of(each, computations, depth + 1) for each in _entered(instruction)]
        if not inner:
            continue
        times = 1
        if instruction.opcode == "while":
            trips = _trip_count(instruction, computations[name], computations)
            times = 1 if trips is None else trips
            loops += 1
            unknown += trips is None
            parts = Cycles(
                cycles=sum(part.cycles for part in inner),
                custom_calls=sum(part.custom_calls for part in inner),
                loops=sum(part.loops for part in inner),
                unknown_loops=sum(part.unknown_loops for part in inner),
            )
        else:
            parts = max(inner, key=lambda part: part.cycles)
        # A call that carries an estimate of its own has its inside in it.
        cycles += 0 if own and instruction.opcode != "while" else times * parts.cycles
        calls += times * parts.custom_calls
        loops += parts.loops
        unknown += parts.unknown_loops
    return Cycles(cycles=cycles, custom_calls=calls, loops=loops, unknown_loops=unknown)


def _entered(instruction: _Instruction) -> list[str]:
    """Return the computations that running ``instruction`` runs, its own estimate aside."""
    if instruction.opcode == "while":
        return [name for key in ("body", "condition") if (name := instruction.named(key))]
    if instruction.opcode == "conditional":
        if branches := _BRANCHES.search(instruction.text):
            return [name.strip().removeprefix("%") for name in branches[1].split(",")]
        return _TWO_BRANCHES.findall(instruction.text)
    key = {"call": "to_apply", "async-start": "calls"}.get(instruction.opcode)
    name = instruction.named(key) if key else None
    return [name] if name else []


# ---- how often a loop turns ---------------------------------------------------------------------


def _trip_count(
    loop: _Instruction, around: _Computation, computations: dict[str, _Computation]
) -> int | None:
    """Return how often a counted loop turns: as the compiler says, or from its start, end and step."""
    if known := _TRIPS.search(loop.text):
        return int(known[1])
    condition = computations.get(loop.named("condition") or "", {})
    body = computations.get(loop.named("body") or "", {})
    test, last = _root(condition), _root(body)
    carried = around.get(loop.operands[0]) if loop.operands else None
    if test is None or test.opcode != "compare" or "direction=LT" not in test.text or len(test.operands) != 2:
        return None
    place, end = _carried_place(test.operands[0], condition), _constant(test.operands[1], condition)
    if place is None or end is None or last is None or last.opcode != "tuple" or carried is None:
        return None
    if carried.opcode != "tuple" or place >= min(len(carried.operands), len(last.operands)):
        return None
    start, step = _constant(carried.operands[place], around), _step(last.operands[place], place, body)
    if start is None or step is None or step <= 0:
        return None
    return max(0, -(-(end - start) // step))


def _root(computation: _Computation) -> _Instruction | None:
    return next((instruction for instruction in computation.values() if instruction.root), None)


def _constant(name: str, computation: _Computation) -> int | None:
    """Return the integer that ``name`` holds, through copies."""
    for _ in range(10):
        instruction = computation.get(name)
        if instruction is None:
            return None
        if instruction.opcode == "constant":
            value = re.search(r"constant\((-?\d+)\)", instruction.text)
            return int(value[1]) if value else None
        if instruction.opcode not in ("copy", "bitcast") or not instruction.operands:
            return None
        name = instruction.operands[0]
    return None


def _carried_place(name: str, computation: _Computation) -> int | None:
    """Return which of the loop's carried values ``name`` is."""
    instruction = computation.get(name)
    if instruction is None or instruction.opcode != "get-tuple-element":
        return None
    found = re.search(r"index=(\d+)", instruction.text)
    return int(found[1]) if found else None


def _step(name: str, place: int, body: _Computation) -> int | None:
    """Return by how much a turn raises the carried value at ``place``."""
    addition = body.get(name)
    if addition is None or addition.opcode != "add" or len(addition.operands) != 2:
        return None
    left, right = addition.operands
    for counter, amount in ((left, right), (right, left)):
        if _carried_place(counter, body) == place:
            return _constant(amount, body)
    return None
