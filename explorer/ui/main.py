"""Run the app: ``streamlit run`` starts this file."""

from explorer.ui.page import main

main()
