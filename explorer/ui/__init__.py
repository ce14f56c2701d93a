"""The Streamlit app: widgets, one analysis call, figures. No arithmetic, no text of numbers."""
