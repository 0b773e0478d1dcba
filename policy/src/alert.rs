//! Alerts: which rule raises an incident, and when it is over.
