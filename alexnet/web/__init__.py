"""The front end, written once: words, style and the handling of images, for the service's page and the explorer.

Plain JavaScript modules without a build step. A server hands them out as they are; `bundle` makes one script of
them for a page that must work from `file://`, where modules cannot import one another.
"""

from alexnet.web.bundle import bundle
from alexnet.web.parts import LANGUAGES, folder, read, words

__all__ = ["LANGUAGES", "bundle", "folder", "read", "words"]
