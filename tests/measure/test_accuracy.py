import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

from labkit.core.errors import Cancelled, ConfigError, DataError, ModelError
from labkit.core.progress import Progress, Tick
from labkit.core.records import Accuracy
from labkit.data import load
from labkit.data.images import Images
from labkit.measure import accuracy as module
from labkit.measure.accuracy import accuracy, classify, difference, per_class, stratified_order, stream, wilson
from labkit.models import zoo

counts = st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


class TestWilson:
    def test_by_hand(self) -> None:
        # k = 8 of 10: centre (8 + 1.9207)/(13.8415) = 0.71674, half 1.95996·√(1.6 + 0.96036)/13.8415 = 0.22658
        found = wilson(8, 10)
        assert found.share == 0.8
        assert found.low == pytest.approx(0.49016, abs=1e-5)
        assert found.high == pytest.approx(0.94332, abs=1e-5)

    @given(counts)
    def test_it_is_scipys_interval(self, count: tuple[int, int]) -> None:
        expected = stats.binomtest(*count).proportion_ci(method="wilson")
        found = wilson(*count)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)

    @given(counts)
    def test_it_holds_the_share_and_stays_a_share(self, count: tuple[int, int]) -> None:
        found = wilson(*count)
        assert 0 <= found.low <= found.share <= found.high <= 1
        assert found.low < found.high, "no finite sample makes an accuracy certain"

    def test_nothing_and_everything_right_reach_the_ends_exactly(self) -> None:
        assert wilson(0, 200).low == 0.0
        assert wilson(200, 200).high == 1.0

    def test_a_settled_accuracy_keeps_the_interval_of_a_fresh_image(self) -> None:
        settled = wilson(9000, 10_000, 10_000)
        assert (settled.low, settled.high) == pytest.approx((0.8940, 0.9057), abs=1e-4)
        assert (settled.set_low, settled.set_high) == (0.9, 0.9)
        assert settled.is_settled

    def test_the_interval_of_fresh_images_does_not_depend_on_the_size_of_the_set(self) -> None:
        bounds = {(each.low, each.high) for each in (wilson(180, 200, n) for n in (None, 200, 201, 10_000))}
        assert len(bounds) == 1

    @pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
    def test_the_interval_of_the_settled_value_shrinks_to_it(self, share: float) -> None:
        widths = []
        for n in (10, 50, 90, 99, 100):
            seen = wilson(int(share * n), n, 100)
            assert seen.set_low <= seen.share <= seen.set_high
            widths.append(seen.set_high - seen.set_low)
        assert widths == sorted(widths, reverse=True)
        assert widths[-1] == 0
        assert widths[-2] <= 0.01 + 1e-12, "one image is missing: it can move the share by 1/100 at most"

    @given(counts, st.integers(0, 20_000))
    def test_the_settled_value_lies_within_what_the_unseen_images_allow(self, count: tuple[int, int], unseen: int) -> None:
        k, n = count
        seen = wilson(k, n, n + unseen)
        assert k / (n + unseen) <= seen.set_low <= seen.set_high <= (k + unseen) / (n + unseen)
        assert seen.set_low >= seen.low - 1e-12 or k in (0, n)

    def test_the_interval_of_the_settled_value_by_hand(self) -> None:
        # 60 of 100 images are worth 60·99/40 = 148.5: ½ ± 1.95996·√(¼/148.5 + 3.8415/(4·148.5²))/(1 + 3.8415/148.5)
        seen = wilson(30, 60, 100)
        assert (seen.set_low, seen.set_high) == pytest.approx((0.42060, 0.57940), abs=1e-5)

    @pytest.mark.parametrize(("n", "population"), [(20, 100), (60, 100), (80, 100), (200, 10_000)])
    def test_it_covers_the_settled_value_as_often_as_it_says(self, n: int, population: int) -> None:
        covered = []
        for right in range(population // 20, population, population // 20):
            k = np.arange(max(0, n - (population - right)), min(n, right) + 1)
            bounds = [wilson(int(each), n, population) for each in k]
            inside = np.array([b.set_low - 1e-12 <= right / population <= b.set_high + 1e-12 for b in bounds])
            covered.append(float(stats.hypergeom(population, right, n).pmf(k)[inside].sum()))
        assert 0.94 < np.mean(covered) < 0.975, "without the correction for a finite set it would be near 1"
        assert min(covered) > 0.88, "Wilson's interval dips where few outcomes are possible, not far"

    @pytest.mark.parametrize(("correct", "n", "population"), [(1, 0, None), (-1, 5, None), (6, 5, None), (3, 5, 4), (0, -1, None)])
    def test_counts_that_contradict_each_other_are_refused(self, correct: int, n: int, population: int | None) -> None:
        with pytest.raises(ConfigError, match="wilson: "):
            wilson(correct, n, population)


class TestOrder:
    @given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 5))
    def test_each_block_of_a_balanced_set_has_one_of_each_class(self, classes: int, each: int, seed: int) -> None:
        labels = torch.arange(classes).repeat(each)[torch.randperm(classes * each, generator=torch.Generator().manual_seed(seed))]
        for block in labels[stratified_order(labels, seed)].split(classes):
            assert block.sort().values.tolist() == list(range(classes))

    @given(st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any))
    def test_each_prefix_has_nearly_the_shares_of_the_whole(self, sizes: list[int]) -> None:
        labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
        order = stratified_order(labels)
        assert sorted(order.tolist()) == list(range(len(labels)))
        seen = nn.functional.one_hot(labels[order], len(sizes)).cumsum(0)
        due = torch.arange(1, len(labels) + 1)[:, None] * torch.tensor(sizes) / len(labels)
        assert float((seen - due).abs().max()) <= 1.5 + len(sizes) / 2

    def test_the_test_set_of_the_labs_is_even_after_the_first_two_hundred(self) -> None:
        labels = load("fashion-mnist").test.labels
        order = stratified_order(labels)
        assert torch.bincount(labels[order[:200]]).tolist() == [20] * 10

    def test_the_seed_alone_decides(self) -> None:
        labels = load("digits").test.labels
        torch.manual_seed(1)
        first = stratified_order(labels)
        torch.manual_seed(2)
        assert torch.equal(first, stratified_order(labels, 0))
        assert not torch.equal(first, stratified_order(labels, 1))
        assert first.tolist() != sorted(first.tolist())

    def test_edges(self) -> None:
        assert stratified_order(torch.empty(0, dtype=torch.int64)).tolist() == []
        assert stratified_order(torch.tensor([7])).tolist() == [0]
        with pytest.raises(DataError, match="labels must have the shape"):
            stratified_order(torch.zeros(2, 2, dtype=torch.int64))


def marked(labels: list[int], guesses: list[int], classes: int = 10) -> tuple[Images, Any]:
    """Images that carry the class which the returned network gives them."""
    pixels = torch.tensor(guesses, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2).clone()
    images = Images(pixels, torch.tensor(labels), 0.0, 1.0)
    return images, lambda x: nn.functional.one_hot(x[:, 0, 0, 0].mul(255).round().long(), classes).float()


class TestStream:
    def test_by_hand(self) -> None:
        images, predict = marked([0, 1, 2, 3, 4, 5], [0, 1, 2, 0, 0, 5])
        found = list(stream(predict, images, order=torch.arange(6), first=1, chunk=2))
        assert [(a.correct, a.n) for a in found] == [(1, 1), (3, 3), (3, 5), (4, 6)]
        assert found[-1].predictions.tolist() == [0, 1, 2, 0, 0, 5]  # type: ignore[union-attr]
        assert found[1].predictions.tolist() == [0, 1, 2]  # type: ignore[union-attr]
        assert [a.population for a in found] == [6] * 4
        assert found[-1].is_settled
        assert found[-1].set_low == found[-1].share

    @pytest.mark.parametrize(("first", "chunk"), [(1, 250), (7, 40), (100, 100), (500, 7), (129, 300)])
    def test_however_it_is_cut_it_ends_alike(self, first: int, chunk: int) -> None:
        model, images = zoo.load("digits-small"), load("digits").test
        *_, last = stream(model, images, first=first, chunk=chunk)
        right = model(images.tensor()).argmax(1) == images.labels
        assert (last.correct, last.n) == (int(right.sum()), 500)
        assert torch.equal(right[last.index], last.predictions == images.labels[last.index])  # type: ignore[index]

    def test_a_prefix_of_an_order_is_settled_on_that_prefix(self) -> None:
        images, predict = marked([0, 1, 2, 3], [0, 1, 0, 0])
        *_, last = stream(predict, images, order=torch.tensor([3, 0]))
        assert (last.correct, last.n, last.population, last.index.tolist()) == (1, 2, 2, [3, 0])  # type: ignore[union-attr]

    def test_a_program_on_arrays_counts_as_well_as_a_module(self) -> None:
        model, images = zoo.load("digits-small"), load("digits").test
        program = lambda x: model(x).numpy()  # noqa: E731
        assert accuracy(program, images) == accuracy(model, images)

    def test_it_is_lazy_and_each_estimate_stays_as_it_was(self) -> None:
        images, predict = marked([0] * 1000, [0] * 500 + [1] * 500)
        seen: list[int] = []
        run = stream(lambda x: seen.append(len(x)) or predict(x), images, order=torch.arange(1000), first=10, chunk=500)
        first = next(run)
        assert seen == [10]
        list(run)
        assert (first.n, first.correct, len(first.predictions)) == (10, 10, 10)  # type: ignore[arg-type]
        assert max(seen) <= module.BATCH

    def test_cancelling_stops_within_a_piece(self) -> None:
        images, predict = marked([0] * 2000, [0] * 2000)
        progress, calls = Progress(), []

        def slow(x: Tensor) -> Tensor:
            calls.append(len(x))
            if len(calls) == 4:
                progress.cancel()
            return predict(x)  # type: ignore[no-any-return]

        run = stream(slow, images, progress=progress)
        assert next(run).n == 200
        with pytest.raises(Cancelled):
            next(run)
        assert len(calls) == 4

    def test_progress_hears_of_each_piece(self) -> None:
        images, predict = marked([0] * 5, [0, 0, 1, 1, 0])
        heard: list[Tick] = []
        accuracy(predict, images, chunk=2, progress=Progress(heard.append))
        assert [(tick.done, tick.total) for tick in heard] == [(2, 5), (4, 5), (5, 5)]
        assert heard[-1].figures == {"accuracy": 0.6}

    def test_gradients_and_grad_mode_are_left_alone(self) -> None:
        model, images = zoo.load("digits-small"), load("digits").test
        run = stream(model, images)
        next(run)
        assert torch.is_grad_enabled(), "a generator that waits must not hold a mode"
        list(run)
        assert all(p.grad is None for p in model.parameters())

    def test_a_network_in_training_mode_is_refused(self) -> None:
        model = zoo.load("digits-small").train()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        with pytest.raises(ModelError, match=r"call model\.eval\(\)"):
            accuracy(model, load("digits").test)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    @pytest.mark.parametrize("settings", [{"first": 0}, {"chunk": 0}, {"first": -1}])
    def test_pieces_without_images_are_refused(self, settings: dict[str, int]) -> None:
        images, predict = marked([0], [0])
        with pytest.raises(ConfigError, match="at least 1"):
            next(stream(predict, images, **settings))  # type: ignore[arg-type]

    def test_no_images_have_no_accuracy(self) -> None:
        images, predict = marked([0], [0])
        with pytest.raises(DataError, match="at least one image"):
            next(stream(predict, images[torch.empty(0, dtype=torch.int64)]))


class TestClassify:
    def test_the_first_of_equal_logits_wins_and_nan_is_no_class(self) -> None:
        logits = torch.tensor([[1.0, 1.0, 0.0], [0.0, math.nan, 5.0], [-math.inf, 0.0, math.inf]])
        assert classify(lambda _: logits, torch.zeros(3, 1, 2, 2)).tolist() == [0, -1, 2]

    def test_nan_counts_as_wrong_whatever_the_label(self) -> None:
        images, _ = marked([0, 1], [0, 0])
        found = accuracy(lambda x: torch.full((len(x), 2), math.nan), images)
        assert (found.correct, found.predictions.tolist()) == (0, [-1, -1])  # type: ignore[union-attr]

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32])
    def test_any_type_of_number_will_do(self, dtype: torch.dtype) -> None:
        logits = torch.tensor([[0, 3, 1]], dtype=dtype)
        assert classify(lambda _: logits, torch.zeros(1, 1, 2, 2)).tolist() == [1]

    @pytest.mark.parametrize("shape", [(3,), (2, 10), (3, 0), (3, 10, 1)])
    def test_anything_but_a_row_of_logits_an_image_is_refused(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ModelError, match=r"must give logits of the shape \(3, classes\), got"):
            classify(lambda _: np.zeros(shape), torch.zeros(3, 1, 2, 2))


class TestDetails:
    def test_each_class_by_hand(self) -> None:
        images, predict = marked([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 0])
        found = per_class(accuracy(predict, images), images.labels)
        assert {label: (a.correct, a.n, a.population) for label, a in found.items()} == {0: (2, 3, 3), 1: (1, 2, 2), 2: (0, 1, 1)}

    def test_classes_of_a_first_estimate_know_how_many_are_to_come(self) -> None:
        images, predict = marked([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 0])
        first = next(stream(predict, images, order=torch.arange(6), first=2))
        assert {label: (a.n, a.population) for label, a in per_class(first, images.labels).items()} == {0: (2, 3)}

    def test_a_difference_by_hand(self) -> None:
        images, before = marked([0] * 10, [0] * 6 + [1] * 4)
        _, after = marked([0] * 10, [0] * 10)
        old = accuracy(before, images)
        new = accuracy(lambda x: after(torch.zeros_like(x)), images)
        found = difference(old, new, images.labels)
        # g = 4, l = 0: p = 5/12, q = 1/12; 1/3 ± 1.95996·√((1/2 - 1/9)/12)
        assert (found.share, found.gained, found.lost, found.n) == (0.4, 4, 0, 10)
        assert (found.low, found.high) == pytest.approx((1 / 3 - 0.352837, 1 / 3 + 0.352837), abs=1e-5)
        back = difference(new, old, images.labels)
        assert (back.share, back.low, back.high) == pytest.approx((-0.4, -found.high, -found.low))

    def test_a_network_differs_from_itself_by_nothing(self) -> None:
        images, predict = marked([0] * 1000, [0] * 900 + [1] * 100)
        seen = accuracy(predict, images)
        same = difference(seen, seen, images.labels)
        assert (same.share, same.gained, same.lost) == (0.0, 0, 0)
        assert same.high - same.low < (seen.high - seen.low) / 4

    def test_it_covers_the_true_difference_as_often_as_it_says(self) -> None:
        rng, n = np.random.default_rng(0), 200
        labels, index = torch.zeros(n, dtype=torch.int64), torch.arange(n)
        inside = 0
        for _ in range(1000):
            fate = rng.choice(4, n, p=[0.8, 0.1, 0.04, 0.06])  # both right, lost, gained, both wrong
            old = Accuracy(0, n, 0, 1, index=index, predictions=torch.from_numpy(np.isin(fate, (2, 3)).astype(np.int64)))
            new = Accuracy(0, n, 0, 1, index=index, predictions=torch.from_numpy(np.isin(fate, (1, 3)).astype(np.int64)))
            found = difference(old, new, labels)
            inside += found.low <= -0.06 <= found.high
        assert 0.93 <= inside / 1000 <= 0.97

    def test_a_first_estimate_is_compared_over_what_both_saw(self) -> None:
        images, predict = marked([0, 0, 0, 0], [0, 1, 0, 1])
        first, *_, last = stream(predict, images, first=2, chunk=1)
        assert difference(first, last, images.labels).n == 2

    def test_different_images_cannot_be_compared(self) -> None:
        images, predict = marked([0, 0], [0, 1])
        (a,), (b,) = (list(stream(predict, images, order=torch.tensor(order))) for order in ([0, 1], [1, 0]))
        with pytest.raises(DataError, match="the same order"):
            difference(a, b, images.labels)
        with pytest.raises(DataError, match="without its predictions"):
            difference(a, wilson(1, 2), images.labels)
