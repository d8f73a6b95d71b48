"""AlexNet, whole."""
