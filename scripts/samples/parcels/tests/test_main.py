from parcels.__main__ import main


def test_a_quote_is_a_price():
    assert main(["quote", "10"]) == "5.90"
    assert main(["quote", "1", "--zone", "abroad"]) == "14.00"
