import numpy as np
import pytest

from ml.ensemble import fit_weights, fold_count, out_of_fold, resize_matrix, soft_vote


def says(chances):
    """Answers of a member that gives these chances to class 0, of two classes: [N, 2]."""
    chances = np.asarray(chances, np.float32)
    return np.stack([chances, 1 - chances], axis=1)


def sure(labels, chance=0.8, classes=3):
    """Answers of a member that gives this chance to the true class and shares the rest."""
    answers = np.full((len(labels), classes), (1 - chance) / (classes - 1), np.float32)
    answers[np.arange(len(labels)), labels] = chance
    return answers


def noise(count, seed, classes=3):
    return np.random.default_rng(seed).dirichlet(np.ones(classes), count).astype(np.float32)


def log_loss(weights, members, labels):
    mixed = np.tensordot(weights, members, axes=1)[np.arange(len(labels)), labels]
    return -np.log(np.maximum(mixed, 1e-7)).mean()


LABELS = np.arange(300) % 3


def complementary(share, count=1000):
    """Two members, of which the first is right (0.9 to the truth) where the other is wrong, in a share of images."""
    first = np.arange(count) < share * count
    return np.stack([says(np.where(first, 0.9, 0.1)), says(np.where(first, 0.1, 0.9))])


@pytest.mark.parametrize("share", [0.5, 0.6, 0.85])
def test_weights_are_those_that_calculus_gives(share):
    """The loss of w is least where the mixture's 0.1 + 0.8 w equals the share of images that member 0 knows."""
    weights = fit_weights(complementary(share), np.zeros(1000, int), 2)

    np.testing.assert_allclose(weights, [(share - 0.1) / 0.8, 1 - (share - 0.1) / 0.8], atol=1e-3)


def test_member_below_one_percent_is_dropped_and_the_rest_weighs_all():
    np.testing.assert_array_equal(fit_weights(complementary(0.107), np.zeros(1000, int), 2), [0, 1])


def test_noise_gets_no_vote():
    weights = fit_weights(np.stack([noise(300, 1), sure(LABELS)]), LABELS, 3)

    np.testing.assert_array_equal(weights, [0, 1])


def test_members_that_answer_alike_share_the_vote():
    np.testing.assert_allclose(fit_weights(np.stack([noise(300, 1)] * 3), LABELS, 3), 1 / 3, atol=1e-6)


def test_of_equals_the_first_stay():
    np.testing.assert_allclose(fit_weights(np.stack([noise(300, 1)] * 4), LABELS, 2), [0.5, 0.5, 0, 0], atol=1e-6)


def test_one_member_has_the_only_vote():
    np.testing.assert_array_equal(fit_weights(noise(300, 1)[None], LABELS, 3), [1])


def test_members_are_no_more_than_asked_for():
    members = np.stack([0.5 * sure(LABELS, 0.7) + 0.5 * noise(300, seed) for seed in range(5)])

    weights = fit_weights(members, LABELS, 2)

    assert np.count_nonzero(weights) == 2
    assert weights.sum() == pytest.approx(1)


def test_certain_errors_leave_finite_weights():
    """Both members give the truth of some images no chance at all."""
    wrong, half = np.zeros((300, 3), np.float32), sure(LABELS, 1.0)
    wrong[np.arange(300), (LABELS + 1) % 3] = 1
    half[:150] = wrong[:150]

    weights = fit_weights(np.stack([wrong, half]), LABELS, 2)

    np.testing.assert_array_equal(weights, [0, 1])


def test_no_other_weights_lose_less():
    members = np.stack([0.4 * sure(LABELS, 0.9) + 0.6 * noise(300, seed) for seed in range(3)])
    weights = fit_weights(members, LABELS, 3)

    others = np.random.default_rng(0).dirichlet(np.ones(3), 500)
    assert log_loss(weights, members, LABELS) <= min(log_loss(other, members, LABELS) for other in others) + 1e-6


def test_same_answers_give_the_same_weights():
    members = np.stack([noise(300, seed) for seed in range(4)])

    np.testing.assert_array_equal(fit_weights(members, LABELS, 3), fit_weights(members, LABELS, 3))


def test_image_is_answered_with_weights_in_which_its_group_had_no_say():
    """Member 0 knows one patient, member 1 the other: whose images are held out are judged by who knows them not."""
    patients = np.repeat(["a", "b"], 150)
    first = np.where(patients[:, None] == "a", sure(LABELS, 0.98), noise(300, 1))
    second = np.where(patients[:, None] == "b", sure(LABELS, 0.98), noise(300, 2))

    answers = out_of_fold(np.stack([first, second]), LABELS, patients, 2, seed=0)

    np.testing.assert_allclose(answers[patients == "a"], second[patients == "a"], atol=1e-3)
    np.testing.assert_allclose(answers[patients == "b"], first[patients == "b"], atol=1e-3)


def test_weights_look_worse_on_images_that_they_were_not_fitted_to():
    labels = LABELS[:30]
    members = np.stack([noise(30, seed) for seed in range(8)])
    fitted = log_loss(fit_weights(members, labels, 8), members, labels)

    held_out = out_of_fold(members, labels, np.arange(30), 8, seed=0)

    assert -np.log(held_out[np.arange(30), labels]).mean() > fitted + 0.01


def test_every_image_is_answered_with_probabilities_and_the_same_again():
    members = np.stack([noise(300, seed) for seed in range(3)])
    answers, again = (out_of_fold(members, LABELS, np.arange(300) // 4, 3, seed=5) for _ in range(2))

    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(answers, again)


@pytest.mark.parametrize(
    ("labels", "groups", "count"),
    [
        ([0, 1] * 20, range(40), 5),
        ([0] * 20 + [1] * 3, range(23), 3),
        ([0] * 20 + [1], range(21), 1),
        ([0, 1] * 20, [0] * 20 + [1] * 20, 2),
        ([0, 1] * 20, [0] * 40, 1),
    ],
    ids=["many", "rare-class", "single-image", "two-groups", "one-group"],
)
def test_there_are_no_more_folds_than_images_of_the_rarest_class_or_groups(labels, groups, count):
    assert fold_count(np.array(labels), np.array(groups)) == count


def output(probabilities, attention):
    return {"probabilities": np.asarray(probabilities, np.float32), "attention": np.asarray(attention, np.float32)}


def test_vote_is_the_weighted_mean():
    voted = soft_vote(
        [output([[0.2, 0.8]], [[[1, 0], [0, 0]]]), output([[0.6, 0.4]], [[[0, 0], [0, 1]]])], [0.75, 0.25]
    )

    np.testing.assert_allclose(voted["probabilities"], [[0.3, 0.7]], atol=1e-6)
    np.testing.assert_allclose(voted["attention"], [[[0.75, 0], [0, 0.25]]], atol=1e-6)


def test_attention_comes_to_the_largest_grid_and_still_sums_to_1():
    generator = np.random.default_rng(0)
    maps = [generator.dirichlet(np.ones(size * size), 5).reshape(5, size, size) for size in (3, 7, 5)]

    attention = soft_vote([output(noise(5, 1), one) for one in maps], [0.5, 0.3, 0.2])["attention"]

    assert attention.shape == (5, 7, 7)
    assert attention.dtype == np.float32
    np.testing.assert_allclose(attention.sum(axis=(1, 2)), 1, atol=1e-5)


def test_a_look_into_one_corner_stays_there_on_a_finer_grid():
    corner = np.zeros((1, 2, 2))
    corner[0, 0, 1] = 1

    attention = soft_vote([output([[1]], corner), output([[1]], np.full((1, 6, 6), 1 / 36))], [1, 0])["attention"][0]

    assert attention[0, 5] == pytest.approx(attention.max())
    assert attention[3:, :3].sum() == pytest.approx(0, abs=0.05)


def test_single_member_answers_for_itself():
    alone = output([[0.2, 0.8]], [[[1, 0], [0, 0]]])

    assert soft_vote([alone], [1.0]) == alone


@pytest.mark.parametrize(("target", "source"), [(7, 7), (7, 5), (10, 7), (3, 1)])
def test_rows_of_a_resizing_sum_to_1_and_equal_sizes_change_nothing(target, source):
    matrix = resize_matrix(target, source)

    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    if target == source:
        np.testing.assert_array_equal(matrix, np.eye(source))
