"""The settings of a run: validated once, stored with every checkpoint. Needs no PyTorch.

A setting is declared once, here: `sxvae train` makes an option of every field that has an `Option`.
"""

from sxvae.config.data import ARRAY_SUFFIXES as ARRAY_SUFFIXES
from sxvae.config.data import CUSTOM as CUSTOM
from sxvae.config.data import Binarization as Binarization
from sxvae.config.data import DataSettings as DataSettings
from sxvae.config.data import SplitName as SplitName
from sxvae.config.evaluation import DECODING_MEMORY as DECODING_MEMORY
from sxvae.config.evaluation import EVALUATION_SAMPLES as EVALUATION_SAMPLES
from sxvae.config.model import GAUSSIAN_SCALE_FLOOR as GAUSSIAN_SCALE_FLOOR
from sxvae.config.model import Likelihood as Likelihood
from sxvae.config.model import ModelSettings as ModelSettings
from sxvae.config.model import Network as Network
from sxvae.config.run import RunSettings as RunSettings
from sxvae.config.training import LearningRateSchedule as LearningRateSchedule
from sxvae.config.training import TrainingSettings as TrainingSettings
