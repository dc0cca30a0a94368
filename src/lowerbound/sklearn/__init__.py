"""Estimators of scikit-learn, each a fitted run underneath."""
