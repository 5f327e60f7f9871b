"""What sentiment is worth: quality against labels, lead and lag against prices, what it adds to forecasts; one page."""
