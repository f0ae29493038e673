"""WHICH clusters are there? The management API's `Cluster` objects, listed and watched, as records for the directory.

Trusts the management API to be the one whose certificate it shows, and neither it nor the objects' authors to be well-behaved: time,
size and number are bounded, and what cannot be read is passed over with one line in the log. Imports directory, routing and errors.
"""
