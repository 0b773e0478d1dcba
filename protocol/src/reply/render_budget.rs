//! Budgets and spend as people read them.
