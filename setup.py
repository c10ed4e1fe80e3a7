"""Packaging of Moving Lines; with ``--setup_file ./setup.py`` Beam builds its workers' package from it."""

from setuptools import setup

# Of backports.strenum, which LiteRT needs, later versions are for Python before 3.11; uv overlooks that.
_EXPORT = ["backports.strenum<1.3", "ai-edge-litert>=2.0", "onnx>=1.17", "onnxruntime>=1.20"]

setup(
    name="moving-lines",
    version="0.1.0",
    description="Streaming training pipelines for video and sequence classifiers: Beam, tf.data, Keras",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=[
        "pipeline",
        "model",
        "trainer",
        "trainer.evaluation",
        "trainer.exporting",
        "trainer.prediction",
    ],
    install_requires=[
        "tensorflow>=2.20",
        "keras>=3.12",
        "numpy>=1.26",
        "scipy>=1.12",
        "apache-beam>=2.70",
        "matplotlib>=3.9",
        "pillow>=10",
        "google-crc32c>=1.5",
        "tqdm>=4.66",
        "pyyaml>=6",
        "tensorboard>=2.20",
    ],
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.20"],
        "jax": ["jax>=0.7"],
        "export": _EXPORT,
        "dev": [
            *_EXPORT,
            "jax>=0.7",
            "jsonschema>=4.20",
            "mypy",
            "pytest",
            "pytest-cov",
            "pytest-xdist",
            "ruff",
            "scikit-learn",
            "selenium>=4.20",
            "tensorflow-datasets>=4.9.9",
        ],
    },
)
