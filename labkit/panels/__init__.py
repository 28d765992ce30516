"""The live panels, one for each lab: the only package that imports ipywidgets and Bokeh."""
