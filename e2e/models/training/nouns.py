"""Finds the nouns and adjectives of the corpus by counting neighbouring words, without a part-of-speech tagger."""

import collections
import re

_DETERMINERS = frozenset("a an the his her their my your our this that some every each another two three".split())
_AFTER_NOUNS = frozenset(
    ". , ! ? ; : \" and was were had has is are that who named called to in on with from for of at said went but could"
    " would did looked saw so as or ran wanted can felt came started asked 's".split()
)
# Nouns that users do not request stories about.
_NOT_SUBJECTS = frozenset(
    "time end idea lot long way moral sometimes top moment name days piece pieces words gentle naughty nearby fair part"
    " messy middle line bottom lesson person mistake body step minutes sudden chance dear deaf clumsy dead intelligent"
    " fastest precious highest cross sight edge side knock week weeks aid ones number word importance urge bang ups"
    " actions difference pair case point sense result minute moments afternoon gust group row bunch couple sorry zero"
    " fault effort sip whisper sigh bit lips cheek throat lap waist wrist heel knees shoulders job hands hand head face"
    " eyes eye feet foot legs leg arms arm mouth smile hug hair heart voice faces teeth neck fingers finger skin tears"
    " corner pile side turn try deal kind places noise noises sound sounds air ground floor plan surprise world lip lips"
    " breath distance view truth test knee chest note feelings friendship kindness sharing problem".split()
)
_TOKEN = re.compile(r"[A-Za-z]+|'s|[.,!?;:\"]")


def find_nouns(stories: list[str]) -> tuple[collections.Counter, frozenset[str]]:
    """Returns the nouns, each with the number of stories that contain it, and the adjectives.

    Both follow determiners. The next word distinguishes them: a noun often precedes punctuation, a verb or a
    preposition; an adjective precedes the noun that it describes.
    """
    total, after_determiner, before_boundary, stories_with = (collections.Counter() for _ in range(4))
    tokens = [_TOKEN.findall(story) for story in stories]
    for words in tokens:
        stories_with.update(set(words))
        for left, word, right in zip(words, words[1:], words[2:]):
            if not word.islower() or len(word) < 3:
                continue
            total[word] += 1
            after_determiner[word] += left.lower() in _DETERMINERS
            before_boundary[word] += right in _AFTER_NOUNS
    adjectives = frozenset(
        word
        for word, count in total.items()
        if count >= 15 and after_determiner[word] > 0.3 * count and before_boundary[word] < 0.3 * count
    )
    described = collections.Counter()
    for words in tokens:
        for left, word in zip(words, words[1:]):
            described[word] += left.lower() in _DETERMINERS or left in adjectives
    nouns = collections.Counter(
        {
            word: stories_with[word]
            for word, count in total.items()
            if count >= 12
            and word not in adjectives
            and word not in _NOT_SUBJECTS
            and described[word] > 0.4 * count
            and before_boundary[word] > 0.45 * count
        }
    )
    return nouns, adjectives
