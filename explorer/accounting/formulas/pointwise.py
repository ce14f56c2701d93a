"""Count operators that compute each output element from the elements at the same place."""

from explorer.accounting.formulas.registry import Formula, Work, formula
from explorer.accounting.formulas.shapes import output_elements
from explorer.record import OpRecord

# One step an element. An activation function is one step whatever its inside: hardware and libraries
# differ too much in how they evaluate it for a finer number to mean anything.
ONE_STEP = (
    # arithmetic
    *("add", "sub", "rsub", "mul", "div", "neg", "reciprocal", "square", "remainder", "fmod"),
    *("abs", "sign", "sgn", "floor", "ceil", "round", "trunc", "frac", "floor_divide"),
    *("maximum", "minimum", "fmax", "fmin", "clamp", "clamp_min", "clamp_max"),
    # powers and transcendental functions
    *("pow", "sqrt", "rsqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "erf"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "asinh", "acosh", "atanh"),
    *("erfc", "erfinv", "lgamma", "digamma", "sinc", "logit", "logaddexp", "logaddexp2", "xlogy", "hypot"),
    *("copysign", "heaviside", "special_entr", "special_log_ndtr", "special_ndtri", "special_erfcx"),
    # activation functions
    *("relu", "relu6", "leaky_relu", "_prelu_kernel", "prelu", "elu", "selu", "celu", "gelu", "silu"),
    *("mish", "sigmoid", "log_sigmoid_forward", "tanh", "hardtanh", "hardswish", "hardsigmoid"),
    *("softplus", "hardshrink", "softshrink", "threshold", "glu"),
    # comparisons and logic
    *("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_not", "logical_xor"),
    *("bitwise_and", "bitwise_or", "bitwise_not", "bitwise_xor", "where", "masked_fill"),
    *("isnan", "isinf", "isfinite", "nan_to_num", "isclose", "signbit", "isposinf", "isneginf"),
    *("bitwise_left_shift", "bitwise_right_shift", "__lshift__", "__rshift__"),
    # complex numbers: one like any other
    *("complex", "angle", "conj_physical", "_conj_physical"),
    # drawing a random number
    *("bernoulli", "rand", "rand_like", "randn", "randn_like", "randint", "randint_like", "randperm"),
    *("uniform", "normal", "normal_functional", "exponential", "random", "poisson", "multinomial"),
)
"""Operators that count 1 an output element."""

STEPS = {
    **{"addcmul": 2, "addcdiv": 2, "lerp": 3, "polar": 2},
    **{"native_dropout": 3, "_fused_dropout": 3, "rrelu_with_noise": 2},  # draw, select, scale
}
"""Operators that count more than 1 an output element: one for each arithmetic sign in their definition."""


@formula(*ONE_STEP)
def pointwise(op: OpRecord) -> Work:
    """Count 1 an output element."""
    return Work(elementwise_ops=output_elements(op))


def _stepped(steps: int) -> Formula:
    def stepped_pointwise(op: OpRecord) -> Work:
        return Work(elementwise_ops=steps * output_elements(op))

    return stepped_pointwise


for _operator, _steps in STEPS.items():
    formula(_operator)(_stepped(_steps))
