"""The app: ``streamlit run app.py``, or ``streamlit run app.py -- --store DIR``."""

from explorer.ui.page import main

main()
