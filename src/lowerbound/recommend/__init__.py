"""Recommending from a fitted run: the best items for one history or for many of them, and the items
and users most like one.
"""

from .blocks import recommend_in_blocks
from .exact import item_vectors, last_layer
from .items import Catalogue, near
from .lists import ListRequest, Reason, Recommendation, Recommendations, RecommendedItems
from .people import SharedItem, SimilarUser, SimilarUsers
from .recommender import Recommender
from .wishes import Rules, Wishes

__all__ = [
    "Catalogue",
    "ListRequest",
    "Reason",
    "Recommendation",
    "Recommendations",
    "RecommendedItems",
    "Recommender",
    "Rules",
    "SharedItem",
    "SimilarUser",
    "SimilarUsers",
    "Wishes",
    "item_vectors",
    "last_layer",
    "near",
    "recommend_in_blocks",
]
