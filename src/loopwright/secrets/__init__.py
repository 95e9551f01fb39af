"""The broker: values of secrets stay on this side; actors see placeholders."""
