"""How a network becomes OpenVINO's 8-bit graph."""

from dataclasses import replace

from serving.engines.openvino_files import _answers, _distance, _quantised, converted, quantised


def test_int8_has_the_ranges_whose_answers_are_nearer_to_the_models(source, digits):
    """Half of the images are a twelfth as bright: means of the extremes clip what the others have."""
    pixels = digits[0][:16].copy()
    pixels[8:] //= 12
    plain, images = converted(source), [one[None] for one in pixels]
    wanted = _answers(plain, images)
    clipped = _distance(_answers(_quantised(plain.clone(), images, False), images), wanted)
    kept = _distance(_answers(quantised(plain, replace(source, calibration=pixels)), images), wanted)
    assert kept < clipped / 4
