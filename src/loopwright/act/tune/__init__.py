"""The knob search: numbers, switches and names of the editable files are turned, one step at a time, and no model is asked."""
