"""The fields, answers and errors of the API as tables, and the document made from them."""
