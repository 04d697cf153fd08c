"""The forms that a saved model is handed on in."""
