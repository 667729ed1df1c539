import pytest

from experiments.dynamic_overhead import Overhead, large_update


@pytest.mark.parametrize("compute", ["masked", "sparse"])
def test_an_update_holds_a_few_dense_layers_at_once(compute):
    seconds, megabytes = large_update(Overhead(compute=compute, side=4000))
    assert seconds > 0
    assert 0 < megabytes < 7 * 4 * 4000**2 / 2**20  # 11 and more before scores were counted block by block
