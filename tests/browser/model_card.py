"""Photograph a model card as the Hub renders it: the metadata as a row of tags and a panel of results, the rest as GitHub-flavoured Markdown.

    python tests/browser/model_card.py runs/quick/model --out docs/model_card.png

The Hub's own page cannot be had without it: what is taken from it is which metadata it shows, and that raw HTML and scripts are dropped.
"""

from __future__ import annotations

import argparse
import html
import shutil
from pathlib import Path

from conftest import FLAGS
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from playwright.sync_api import sync_playwright

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 860px; margin: 24px auto; padding: 0 16px; }
.tag { display: inline-block; border: 1px solid #d1d5db; border-radius: 8px; padding: 1px 8px; margin: 2px; font-size: 13px; }
.results { border: 1px solid #d1d5db; border-radius: 8px; padding: 8px 16px; margin: 12px 0; font-size: 14px; }
pre { background: #f3f4f6; padding: 12px; border-radius: 8px; overflow-x: auto; font-size: 13px; } code { font-size: 13px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; display: block; overflow-x: auto; }
td, th { border: 1px solid #d1d5db; padding: 4px 8px; }
img { max-width: 100%; }
"""


def page_of(card: ModelCard, folder: Path) -> str:
    """The card as a page of HTML; pictures are found in its folder."""
    data = card.data.to_dict()
    words = [data.get("pipeline_tag"), data.get("library_name"), *data.get("datasets", []), *data.get("tags", []), f"license: {data.get('license')}"]
    tags = "".join(f'<span class="tag">{html.escape(str(word))}</span>' for word in dict.fromkeys(words) if word)
    results = "".join(
        f"<div>{html.escape(f'{result.metric_name or result.metric_type} on {result.dataset_name} (self-reported): {result.metric_value}')}</div>"
        for result in card.data.eval_results or []
    )
    text = MarkdownIt("gfm-like", {"html": False, "linkify": False}).render(card.text)
    base = folder.resolve().as_uri()
    panel = f'<div class="results"><b>Evaluation results</b>{results}</div>' if results else ""
    return f'<!doctype html><meta charset="utf-8"><base href="{base}/"><style>{STYLE}</style>{tags}{panel}{text}'


def main() -> None:
    """Render one card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a folder with README.md")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", type=int, default=920)
    arguments = parser.parse_args()
    card = ModelCard.load(arguments.model / "README.md")
    draft = arguments.model / ".card.html"
    draft.write_text(page_of(card, arguments.model), encoding="utf-8")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            page = browser.new_page(viewport={"width": arguments.width, "height": 900})
            page.goto(draft.resolve().as_uri())
            page.screenshot(path=arguments.out, full_page=True)
            browser.close()
    finally:
        draft.unlink()


if __name__ == "__main__":
    main()
