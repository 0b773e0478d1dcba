//! Budget: windows, admission, settlement.
