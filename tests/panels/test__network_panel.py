"""What every panel about one network does with its menus; lab 02 stands for them."""

from functools import cache

from labkit.panels.pruning_granularity import PruningGranularity, State
from labkit.workbench import Workbench


def test_another_network_shows_a_layer_in_its_middle_and_reset_brings_all_back():
    panel = PruningGranularity(State(network="lenet-300-100"), cache(Workbench), ("lenet-300-100", "digits-small"))
    try:
        panel.network.value = "digits-small"
        assert panel.state.layer == panel.layer.value == panel.layer.options[len(panel.layer.options) // 2]
        panel.layer.value = panel.layer.options[0]
        assert panel.state.layer == panel.layer.options[0]
        panel.reset_button.click()
        assert panel.state == panel.first
        assert panel.layer.value == panel.first.layer
    finally:
        panel.close()
