"""The words of the house as types. Imports nothing but the errors."""
