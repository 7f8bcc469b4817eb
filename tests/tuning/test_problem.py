"""What a search refuses before it begins, and what its first trial is."""

import pytest


@pytest.mark.parametrize(
    ("key", "given", "told"),
    [
        ("trainer.max_epochs", (), r"all trials have the same epochs; give tune\.epochs"),
        ("tune.reduction", (), "changes nothing of a trial"),
        ("run_name", (), "changes nothing of a trial"),
        ("callback.label_errors.decay", ("callback=label_errors",), "changes nothing of a trial"),
        ("optimizers.lr", ("optimizers.option=auto",), r"optimizers\.option=auto chooses it"),
    ],
)
def test_a_key_that_every_trial_overwrites_is_refused(problem, key, given, told):
    with pytest.raises(ValueError, match=rf"tune\.space: {key}:? {told}"):
        problem(*given, f'tune.space=["{key}=choice(1,2)"]')


@pytest.mark.parametrize("word", ["choice(16)", "range(16,17)"])
def test_a_key_with_one_value_is_refused_with_the_way_to_set_it(problem, word):
    told = r"tune\.space: datamodule\.batch_size has one value alone.* set datamodule\.batch_size=16$"
    with pytest.raises(ValueError, match=told):
        problem(f'tune.space=["optimizers.lr=interval(0.1, 1)","datamodule.batch_size={word}"]')


def test_a_key_with_one_value_that_only_some_trials_have_makes_a_difference(problem):
    space = 'tune.space=["optimizers=choice(adamw,sgd)","optimizers.momentum=choice(0.9)"]'
    problem(space, 'tune.when=["optimizers.momentum if optimizers=sgd"]')


def test_a_search_is_not_begun_by_what_takes_up_a_run(problem):
    with pytest.raises(ValueError, match="a search goes on by the same command: leave resume_full_training out"):
        problem("trainer.tune=True", "resume_full_training=True")


FOREIGN = "+callback.own._target_=pytorch_lightning.callbacks.Timer"  # what such a callback logs is not known before


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            ("tune.objective=[val/nonsense]",),
            r"objective: no trial reports val/nonsense; .*reported are: val/loss, val",
        ),
        (('tune.constraints=["test/loss<=1"]',), r"constraints: no trial reports test/loss; did you mean val/loss"),
        (
            ("task.metrics=[F1Score]", "tune.objective=val/accuracy"),
            "are: val/loss, val/f1_score, latency_ms",
        ),
        (("task.num_classes={a: 10, b.c: 3}", "tune.objective=val/accuracy"), r"val/a/accuracy, val/b_c/accuracy, "),
    ],
)
def test_a_figure_that_no_trial_will_report_is_refused_before_the_first(problem, given, told):
    with pytest.raises(ValueError, match=rf"tune\..*{told}"):
        problem(*given)


@pytest.mark.parametrize(("word", "objective", "differs"), [
    ("task/loss=choice(cross_entropy,focal)", "val/loss", True),
    ("task.class_weights=null,balanced", "val/loss", True),
    ("task/loss=choice(cross_entropy,focal)", "val/accuracy", False),
    ("models.dropout=choice(0,0.5)", "val/loss", False),
])  # fmt: skip
def test_losses_that_are_not_the_same_figure_are_told(problem, word, objective, differs):
    told = problem(f'tune.space=["{word}"]', f"tune.objective={objective}").unlike
    assert bool(told) is differs and (not differs or f"{word.partition('=')[0]} changes" in told)


def test_a_figure_that_a_trial_may_report_is_waited_for(problem):
    problem('tune.space=["task.metrics=choice([Accuracy],[F1Score])"]', "tune.objective=val/f1_score")
    problem(FOREIGN, "tune.objective=val/own")


def test_what_the_automatic_optimizer_reads_or_leaves_can_be_searched(problem):
    keys = ("optimizers.num_epochs", "optimizers.layer_decay", "models.num_filters")
    problem("optimizers.option=auto", f"tune.space={[f'{key}=choice(1,2)' for key in keys]}")


def test_an_automatic_space_begins_with_the_configuration_as_it_stands(problem):
    first = problem("tune.space=auto", "models.num_filters=8", "datamodule.batch_size=16", "models.dropout=0.9").first
    assert (first["models.num_filters"], first["datamodule.batch_size"], first["models.dropout"]) == ("8", "16", 0.9)
