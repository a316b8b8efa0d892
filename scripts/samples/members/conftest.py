"""Lets the tests import the program from this folder."""
