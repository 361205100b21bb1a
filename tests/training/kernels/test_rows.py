"""Every implementation of the row operations: against their definitions in fp64."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional

from sweeper.training.kernels import sharing
from sweeper.training.kernels.build import load_kernels
from sweeper.training.kernels.compiled import CompiledRows
from sweeper.training.kernels.plain import PlainRows
from sweeper.training.kernels.rows import Rows

# Of the largest number there is: what the type itself rounds off, and a little more.
TOLERANCES = {torch.float32: 5e-6, torch.bfloat16: 5e-3}
WIDTHS = [1, 15, 16, 33, 1024, 1025]

of_widths = pytest.mark.parametrize("width", WIDTHS)


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    found: torch.dtype = request.param
    return found


@pytest.fixture(params=["compiled", "plain"])
def rows(request: pytest.FixtureRequest, dtype: torch.dtype) -> Rows:
    if request.param == "plain":
        return PlainRows(dtype)
    built = load_kernels()
    if built is None:
        pytest.skip("no C++ compiler here")
    return CompiledRows(built, dtype)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three of torch's, and no work too small to share."""
    monkeypatch.setattr(sharing, "_LEAST_NUMBERS", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def numbers(*shape: int, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(math.prod(shape))
    return scale * torch.randn(shape, generator=generator)


def assert_near(found: torch.Tensor, exact: torch.Tensor, dtype: torch.dtype) -> None:
    assert found.dtype == dtype
    farthest = (found.double() - exact).abs().max().item()
    assert farthest <= TOLERANCES[dtype] * max(exact.abs().max().item(), 1.0)


@of_widths
def test_gelu_forth_and_back(rows: Rows, dtype: torch.dtype, width: int) -> None:
    x_ND, dy_ND = numbers(7, width, scale=4).to(dtype), numbers(7, width).to(dtype)
    exact = x_ND.double().requires_grad_()
    y_ND = functional.gelu(exact, approximate="tanh")
    y_ND.backward(dy_ND.double())
    assert exact.grad is not None

    assert_near(rows.gelu(x_ND), y_ND, dtype)
    assert_near(rows.gelu_backward(x_ND, dy_ND), exact.grad, dtype)


def test_gelu_far_from_zero(rows: Rows, dtype: torch.dtype) -> None:
    x_ND = torch.tensor([[-1e4, -50.0, -10.0, 0.0, 10.0, 50.0, 1e4]], dtype=dtype)
    slope_ND = rows.gelu_backward(x_ND, torch.ones_like(x_ND))
    assert torch.allclose(rows.gelu(x_ND), x_ND.clamp(min=0), atol=1e-20)
    assert torch.allclose(slope_ND.float(), torch.tensor([0, 0, 0, 0.5, 1, 1, 1]), atol=1e-20)


@of_widths
@pytest.mark.parametrize("is_added", [True, False])
def test_norm_of_a_sum_forth_and_back(
    rows: Rows, dtype: torch.dtype, width: int, is_added: bool
) -> None:
    stream_ND = numbers(7, width, scale=3) + 20
    added_ND = numbers(7, width + 1)[:, 1:].to(dtype).contiguous() if is_added else None
    weight_D, bias_D = 1 + numbers(width, scale=0.1), numbers(width)
    d_normed_ND, d_sum_ND = numbers(7, width, scale=2).to(dtype), numbers(7, width)
    terms = [t.double().requires_grad_() for t in (stream_ND, added_ND) if t is not None]
    exact_sum_ND = terms[0] + terms[1] if is_added else terms[0] * 1
    exact_ND = functional.layer_norm(
        exact_sum_ND, (width,), weight_D.double(), bias_D.double(), 1e-5
    )
    exact = torch.autograd.grad(
        [exact_ND, exact_sum_ND], terms, [d_normed_ND.double(), d_sum_ND.double()]
    )

    sum_ND, normed_ND, mean_N, rstd_N = rows.add_norm(stream_ND, added_ND, weight_D, bias_D, 1e-5)
    d_stream_ND, d_added_ND = rows.add_norm_backward(
        (sum_ND, weight_D, mean_N, rstd_N), d_normed_ND, d_sum_ND, wants_added=is_added
    )

    assert_near(sum_ND, exact_sum_ND, torch.float32)
    assert_near(normed_ND, exact_ND, dtype)
    # bf16 gradients come in as they are; what is computed from them is fp32.
    assert (d_stream_ND - exact[0]).abs().max() <= 2e-5 * exact[0].abs().max()
    assert (d_added_ND is None) is not is_added
    if d_added_ND is not None:
        assert torch.equal(d_added_ND, d_stream_ND.to(dtype))
    alone_ND, _ = rows.add_norm_backward(
        (sum_ND, weight_D, mean_N, rstd_N), d_normed_ND, None, wants_added=False
    )
    assert torch.allclose(alone_ND + d_sum_ND, d_stream_ND, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("num_queries", "num_keys", "first"),
    [(1, 1, 0), (5, 5, 0), (16, 16, 0), (64, 128, 64), (7, 40, 33), (3, 17, 14)],
)
def test_softmax_over_what_a_query_sees(
    rows: Rows, dtype: torch.dtype, num_queries: int, num_keys: int, first: int
) -> None:
    scores_PQL = numbers(3, num_queries, num_keys, scale=30)
    found_PQL = rows.softmax(scores_PQL, 0.3, first)
    position_Q1 = first + torch.arange(num_queries)[:, None]
    is_seen_QL = torch.arange(num_keys) <= position_Q1
    exact_PQL = (0.3 * scores_PQL.double()).masked_fill(~is_seen_QL, -math.inf).softmax(-1)
    assert_near(found_PQL, exact_PQL, dtype)
    assert not found_PQL[:, ~is_seen_QL].any()


@pytest.mark.parametrize("vocabulary", [2, 16, 100, 1025])
def test_cross_entropy_and_its_gradient(rows: Rows, dtype: torch.dtype, vocabulary: int) -> None:
    logits_NV = numbers(9, vocabulary, scale=8).to(dtype)
    targets_N, weights_N = torch.arange(9) % vocabulary, torch.linspace(0, 1, 9)
    exact_NV = logits_NV.double().requires_grad_()
    exact_N = functional.cross_entropy(exact_NV, targets_N, reduction="none")
    (exact_N * weights_N).sum().backward()
    assert exact_NV.grad is not None

    before_NV = logits_NV.clone()
    losses_N = rows.cross_entropy(logits_NV, targets_N, None)
    assert torch.equal(logits_NV, before_NV)
    again_N = rows.cross_entropy(logits_NV, targets_N, weights_N)

    assert torch.allclose(again_N, losses_N, atol=1e-5)
    assert (losses_N - exact_N).abs().max() <= 1e-5
    assert_near(logits_NV, exact_NV.grad, dtype)


def test_what_is_not_a_number_stays_in_its_row(rows: Rows, dtype: torch.dtype) -> None:
    width, here = 20, 3
    x_ND = numbers(6, width).to(dtype)
    stained_ND = x_ND.clone()
    stained_ND[here, 7] = math.nan
    weight_D, stream_ND = torch.ones(width), numbers(6, width)
    targets_N, weights_N = torch.zeros(6, dtype=torch.int64), torch.ones(6)

    def results(of_ND: torch.Tensor) -> list[torch.Tensor]:
        sum_ND, normed_ND, mean_N, rstd_N = rows.add_norm(stream_ND, of_ND, weight_D, weight_D, 0.1)
        d_stream_ND, d_added_ND = rows.add_norm_backward(
            (sum_ND, weight_D, mean_N, rstd_N), of_ND, None, wants_added=True
        )
        logits_NV = of_ND.clone()
        losses_N = rows.cross_entropy(logits_NV, targets_N, weights_N)
        probabilities_N1L = rows.softmax(of_ND.float()[:, None], 1.0, width - 1)
        y_ND, dx_ND = rows.gelu(of_ND), rows.gelu_backward(of_ND, of_ND)
        assert d_added_ND is not None
        whole = [normed_ND, d_stream_ND, d_added_ND, logits_NV, probabilities_N1L[:, 0]]
        return [*whole, losses_N[:, None], y_ND[:, 7:8], dx_ND[:, 7:8]]

    others = torch.arange(6) != here
    for clean, stained in zip(results(x_ND), results(stained_ND), strict=True):
        assert torch.equal(clean[others], stained[others])
        assert stained[here].isnan().all()


@pytest.mark.usefixtures("threads")
def test_threads_treat_rows_as_one_would(rows: Rows, dtype: torch.dtype) -> None:
    x_ND, weight_D = numbers(50, 24).to(dtype), torch.ones(24)
    scores_PQL = numbers(10, 4, 24)
    targets_N = torch.arange(50) % 24

    def results() -> list[torch.Tensor | None]:
        saved = rows.add_norm(x_ND.float(), x_ND, weight_D, weight_D, 0.1)
        sum_ND, _, mean_N, rstd_N = saved
        logits_NV = x_ND.clone()
        return [
            *saved,
            *rows.add_norm_backward(
                (sum_ND, weight_D, mean_N, rstd_N), x_ND, sum_ND, wants_added=True
            ),
            rows.gelu(x_ND),
            rows.gelu_backward(x_ND, x_ND),
            rows.softmax(scores_PQL, 0.5, 20),
            rows.cross_entropy(logits_NV, targets_N, torch.ones(50)),
            logits_NV,
        ]

    shared = results()
    torch.set_num_threads(1)
    for one, other in zip(results(), shared, strict=True):
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)


def test_nothing_is_no_work(rows: Rows, dtype: torch.dtype) -> None:
    nothing_ND = torch.empty(0, 8, dtype=dtype)
    assert rows.gelu(nothing_ND).shape == (0, 8)
    assert rows.gelu_backward(nothing_ND, nothing_ND).shape == (0, 8)
    nothing_N = torch.empty(0, dtype=torch.int64)
    assert len(rows.cross_entropy(torch.empty(0, 8, dtype=dtype), nothing_N, None)) == 0
