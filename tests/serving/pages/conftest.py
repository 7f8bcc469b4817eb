"""What tests of the pages in a real browser share."""

import pytest

LIVE = "document.querySelector('[data-testid=hash]')?.dataset.hash ?? null"
DEPLOYED = "document.querySelector('[data-testid=live-hash]')?.dataset.hash ?? null"
FOCUS = "document.activeElement.dataset.testid ?? document.activeElement.id"


def attribute(testid, name):
    return f"document.querySelector('[data-testid={testid}]')?.{name} ?? null"


@pytest.fixture
def opened(browser):
    """Opens a page with a token; at the end nothing may have gone wrong in it but what the test says."""
    browser.problems.clear()
    pages = []

    def open_page(address, secret=None, path="/", **size):
        pages.append(browser.open(f"{address}{path}{f'#token={secret}' if secret else ''}", **size))
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()
