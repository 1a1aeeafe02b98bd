"""The vault: seals and opens bytes, and knows no tenant, no row and no HTTP."""
