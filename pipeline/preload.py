"""What the workers' parent imports before they are forked from it, so that each starts at once."""

import pyarrow as pa

from . import worker as worker

# The first conversion makes pyarrow look for pandas, and importing that takes as long as decoding hundreds.
pa.array([None])
