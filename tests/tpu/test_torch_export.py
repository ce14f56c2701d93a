"""A torch model is written down completely, and what cannot be is refused in one line."""

import pytest
import torch
from torch import Tensor, nn

from explorer.errors import UsageError
from explorer.tpu.program import Program
from explorer.tpu.torch_export import export, program_of, weights_of

BF16 = torch.bfloat16


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(5)
        self.head = nn.Linear(5, 7)
        self.register_buffer("table", torch.arange(7), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x)).relu().mean((2, 3))) + self.table


def written(model: nn.Module, dtype: torch.dtype = torch.float32) -> Program:
    return program_of(export(model, (2, 3, 11, 13), dtype))


def test_arguments_come_by_schema_name_with_their_defaults() -> None:
    program = written(Small())
    convolution = next(each for each in program.operations if each.op == "convolution.default")

    assert convolution.attributes["stride"] == [2, 2]
    assert convolution.attributes["groups"] == 1
    assert convolution.attributes["bias"] is None
    assert convolution.result[0].shape == (2, 5, 6, 7)
    assert next(each for each in program.operations if each.op == "add.Tensor").attributes["alpha"] == 1


def test_every_tensor_is_an_argument_of_the_program() -> None:
    exported = export(Small(), (2, 3, 11, 13), torch.float32)
    program, numbers = program_of(exported), weights_of(exported)

    # convolution, norm's weight, bias, mean, variance, count; head's weight and bias; the table
    assert len(program.weights) == len(numbers) == 9
    assert [value.shape for value in program.weights] == [tuple(number.shape) for number in numbers]
    assert program.input.shape == (2, 3, 11, 13)
    assert program.weight_bytes == 4 * (135 + 4 * 5 + 1 + 35 + 7 + 7)


def test_bf16_halves_the_weights_and_leaves_whole_numbers() -> None:
    program = written(Small(), BF16)

    assert {value.dtype for value in program.weights} == {"bfloat16", "int64"}
    assert program.input.dtype == "bfloat16"
    assert program.weight_bytes == 2 * (135 + 4 * 5 + 35 + 7) + 4 * 8


def test_a_model_on_meta_gives_the_same_program() -> None:
    with torch.device("meta"):
        ghost = Small()

    assert written(ghost, BF16).digest() == written(Small(), BF16).digest()


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x + 1


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return x * self.calls


class WrongShape(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Branches(), "cannot export Branches"),
        (Pair(), "returns 2 tensors"),
        (Counts(), "changes its own calls"),
        (WrongShape(), "cannot export WrongShape"),
    ],
)
def test_what_cannot_be_written_down_is_refused_in_one_line(model: nn.Module, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        written(model)

    assert "\n" not in str(caught.value)
