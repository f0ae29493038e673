"""MAY they? A role set and a target in, a Decision out.

Pure: no clock, no input or output. Surfaces and grants are data (`config/permissions.yaml`); code walks them. Imports routing.
"""
