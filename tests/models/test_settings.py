"""What is refused before torch is imported."""

from datetime import timedelta

import pytest

from models.settings import RunSettings, TrainerSettings, duration


def test_two_starting_points_exclude_each_other():
    with pytest.raises(ValueError, match="resume_full_training and resume_weights_training exclude"):
        RunSettings(resume_full_training=True, resume_weights_training="logs/a/b")


@pytest.mark.parametrize("name", ["a/b", "..", "naïve", "a b", ""])
def test_names_that_could_leave_the_logs_folder_are_refused(name):
    with pytest.raises(ValueError, match="run_name"):
        RunSettings(run_name=name)


@pytest.mark.parametrize("key", ["max_epochs", "accumulate_grad_batches", "check_val_every_n_epoch"])
def test_a_training_of_nothing_is_refused(key):
    with pytest.raises(ValueError, match=rf"trainer\.{key}=0"):
        TrainerSettings(**{key: 0})


def test_a_time_that_yaml_turned_into_a_number_is_refused():
    assert duration("00:00:30:00") == timedelta(minutes=30)
    with pytest.raises(ValueError, match="quoted in yaml"):
        TrainerSettings(max_time=216000)  # what yaml makes of 1:00:00:00


@pytest.mark.parametrize("days", ["9" * 12, "9" * 5000])
def test_a_time_that_no_clock_counts_is_refused_in_words(days):
    with pytest.raises(ValueError, match='"DD:HH:MM:SS"'):
        duration(f"{days}:00:00:00")


def test_an_unknown_speed_word_is_named():
    with pytest.raises(ValueError, match=r"speed=bf17.*bf16"):
        TrainerSettings(speed="bf17")


def test_two_half_precisions_and_no_threads_are_refused():
    with pytest.raises(ValueError, match="exclude each other"):
        TrainerSettings(speed="bf16+fp16")
    with pytest.raises(ValueError, match=r"trainer\.threads=-3"):
        TrainerSettings(threads=-3)
