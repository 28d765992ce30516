"""The claims that labs and cards make, measured: `python -m benchmarks.claims`. One file for each lab, lab_NN.py."""
