from ml.evaluation import rank


def row(variant, score, members=1, ablation_of=None):
    return {
        "variant": variant,
        "validation_macro_f1": score,
        "members": [None] * members,
        "ablation_of": ablation_of,
    }


def names(rows, promote_ablation=False):
    return [one["variant"] for one in rank(rows, promote_ablation)]


def test_best_on_validation_images_comes_first_and_equals_come_by_name():
    assert names([row("b", 0.8), row("c", 0.9), row("a", 0.8)]) == ["c", "a", "b"]


def test_of_equals_the_one_with_fewer_members_comes_first():
    assert names([row("ensemble", 0.9, members=2), row("vgg16", 0.9)]) == ["vgg16", "ensemble"]
    assert names([row("ensemble", 0.91, members=2), row("vgg16", 0.9)]) == ["ensemble", "vgg16"]


def test_ablation_wins_only_where_it_may():
    rows = [row("a", 0.7), row("a-no-attention", 0.9, ablation_of="a"), row("b", 0.8)]

    assert names(rows) == ["b", "a", "a-no-attention"]
    assert names(rows, promote_ablation=True) == ["a-no-attention", "b", "a"]
