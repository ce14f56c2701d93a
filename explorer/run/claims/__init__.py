"""Check the field's claims: by counting, from measurements kept, or by measuring here."""
