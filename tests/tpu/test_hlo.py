"""Cycles are added up as the program runs. The texts are written by hand in the compiler's form."""

import pytest

from explorer.errors import InputDataError
from explorer.tpu.hlo import read_cycles


def cost(cycles: int) -> str:
    return f'backend_config={{"window_config":{{"estimated_cycles":"{cycles}","iteration_bounds":["1"]}}}}'


TYPE = "bf16[8,128]{1,0:T(8,128)(2,1)S(1)}"

TWO = "true_computation=%cheap, false_computation=%cheap"

STRAIGHT = f"""HloModule jit_f, is_scheduled=true, entry_computation_layout={{({TYPE})->{TYPE}}}

%fused_computation (param_0: bf16[8,128]) -> bf16[8,128] {{
  %param_0 = {TYPE} parameter(0)
  ROOT %tanh.1 = {TYPE} tanh(%param_0), {cost(1000003)}
}}

ENTRY %main.4 (w.1: bf16[8,128]) -> bf16[8,128] {{
  %w.1 = {TYPE} parameter(0)
  %copy-start = ({TYPE}, {TYPE}, u32[]{{:S(2)}}) copy-start(%w.1)
  %copy-done = {TYPE} copy-done(%copy-start)
  %fusion.2 = {TYPE} fusion(%copy-done), kind=kLoop, calls=%fused_computation, {cost(211)}
  %custom-call.7 = {TYPE} custom-call(%fusion.2), custom_call_target="AllocateBuffer"
  ROOT %convolution.3 = {TYPE} convolution(%custom-call.7, %w.1), dim_labels=bf_io->bf, {cost(13)}
}}
"""


def test_entry_is_summed_and_the_inside_of_a_fusion_is_not() -> None:
    found = read_cycles(STRAIGHT)

    assert (found.cycles, found.custom_calls, found.loops, found.unknown_loops) == (224, 1, 0, 0)


def loop(attributes: str = "", *, start: int = 0, end: int = 7, step: int = 1, direction: str = "LT") -> str:
    return f"""HloModule jit_scan, is_scheduled=true

%body.1 (carried: (s32[], bf16[8,128])) -> (s32[], bf16[8,128]) {{
  %constant.9 = s32[]{{:T(128)}} constant({step})
  %carried = (s32[]{{:T(128)}}, {TYPE}) parameter(0)
  %get-tuple-element.1 = s32[]{{:T(128)}} get-tuple-element(%carried), index=0
  %add.2 = s32[]{{:T(128)}} add(%get-tuple-element.1, %constant.9)
  %get-tuple-element.2 = {TYPE} get-tuple-element(%carried), index=1
  %fusion.5 = {TYPE} fusion(%get-tuple-element.2), kind=kOutput, calls=%f, {cost(101)}
  ROOT %tuple.3 = (s32[]{{:T(128)}}, {TYPE}) tuple(%add.2, %fusion.5)
}}

%condition.1 (carried.2: (s32[], bf16[8,128])) -> pred[] {{
  %constant.3 = s32[]{{:T(128)}} constant({end})
  %carried.2 = (s32[]{{:T(128)}}, {TYPE}) parameter(0)
  %get-tuple-element.5 = s32[]{{:T(128)}} get-tuple-element(%carried.2), index=0
  ROOT %lt.0 = pred[]{{:T(512)}} compare(%get-tuple-element.5, %constant.3), direction={direction}
}}

ENTRY %main (x: bf16[8,128]) -> bf16[8,128] {{
  %x = {TYPE} parameter(0)
  %constant.5 = s32[]{{:T(128)}} constant({start})
  %copy.10 = s32[]{{:T(128)}} copy(%constant.5), {cost(5)}
  %tuple.12 = (s32[]{{:T(128)}}, {TYPE}) tuple(%copy.10, %x)
  %while = (s32[]{{:T(128)}}, {TYPE}) while(%tuple.12), condition=%condition.1, body=%body.1{attributes}
  ROOT %get-tuple-element.43 = {TYPE} get-tuple-element(%while), index=1
}}
"""


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        (loop(), 7),
        (loop(start=2, end=13, step=3), 4),
        (loop(start=9, end=7), 0),
        (loop(', backend_config={"known_trip_count":{"n":"11"}}'), 11),
    ],
)
def test_a_loops_body_counts_as_often_as_it_turns(text: str, turns: int) -> None:
    found = read_cycles(text)

    assert (found.cycles, found.loops, found.unknown_loops) == (5 + 101 * turns, 1, 0)


@pytest.mark.parametrize("text", [loop(direction="NE"), loop(step=0), loop(step=-1)])
def test_a_loop_of_unknown_length_counts_once_and_is_told(text: str) -> None:
    found = read_cycles(text)

    assert (found.cycles, found.unknown_loops) == (106, 1)


def test_a_counter_that_the_body_does_not_step_by_a_constant_is_unknown() -> None:
    text = loop().replace("add(%get-tuple-element.1, %constant.9)", "add(%get-tuple-element.1, %carried)")

    assert read_cycles(text).unknown_loops == 1


def test_of_branches_the_dearest_counts_and_calls_are_entered() -> None:
    text = f"""
%cheap (a: f32[2]) -> f32[2] {{
  %a = f32[2]{{0:T(128)}} parameter(0)
  ROOT %n.1 = f32[2]{{0:T(128)}} negate(%a), {cost(17)}
}}

%dear (b: f32[2]) -> f32[2] {{
  %b = f32[2]{{0:T(128)}} parameter(0)
  %custom-call.1 = f32[2]{{0:T(128)}} custom-call(%b), {cost(2)}
  ROOT %n.2 = f32[2]{{0:T(128)}} negate(%b), {cost(29)}
}}

ENTRY %main (p: pred[], x: f32[2]) -> f32[2] {{
  %p = pred[]{{:T(512)}} parameter(0)
  %x = f32[2]{{0:T(128)}} parameter(1)
  %conditional.1 = f32[2]{{0:T(128)}} conditional(%p, %x, %x), branch_computations={{%cheap, %dear}}
  %conditional.2 = f32[2]{{0:T(128)}} conditional(%p, %x, %x), {TWO}
  ROOT %call.1 = f32[2]{{0:T(128)}} call(%conditional.1), to_apply=%cheap
}}
"""
    found = read_cycles(text)

    assert (found.cycles, found.custom_calls) == (31 + 17 + 17, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("HloModule nothing", "no ENTRY"),
        ("ENTRY %main (x: f32[2]) -> f32[2] {\n  ROOT %x = f32[2]{0} parameter(0)\n}\n", "estimated_cycles"),
        (STRAIGHT.replace("fusion(%copy-done)", "call(%copy-done), to_apply=%gone, calls"), "'gone'"),
    ],
)
def test_text_of_another_form_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputDataError, match=words):
        read_cycles(text)


def test_a_loop_inside_a_loop_multiplies() -> None:
    text = loop()
    inner = (
        text[text.index("%body.1") : text.index("ENTRY")]
        .replace("body.1", "in.b")
        .replace("condition.1", "in.c")
    )
    turned = "%while.9 = (s32[]{:T(128)}, x) while(%carried), condition=%in.c, body=%in.b"
    known = ', backend_config={"known_trip_count":{"n":"3"}}'
    text = text.replace("  %fusion.5 =", f"  {turned}{known}\n  %fusion.5 =", 1).replace(
        "ENTRY", inner + "ENTRY"
    )

    assert read_cycles(text).cycles == 5 + 7 * (101 + 3 * 101)
