"""Did the training recipe become worse? Copy this file with pytest.ini, and name your own data and models there.

pytest --medgan-data=STUDIES --medgan-generator=trained_anew.safetensors
"""

from pytest_medgan import assert_no_regression


def test_recipe_did_not_become_worse(medgan_scores, medgan_baseline):
    """The row holds five runs of the accepted recipe, so chance between training seeds is known and is no failure."""
    assert_no_regression(medgan_scores, medgan_baseline.row("DCGAN"))
