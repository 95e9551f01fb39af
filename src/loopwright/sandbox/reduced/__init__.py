"""The reduced rung: Landlock and seccomp around a plain process, where namespaces are not to be had."""
