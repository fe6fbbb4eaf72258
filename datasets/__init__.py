"""Dataset adapters, one module each: the file name is the dataset's name everywhere. Import as wsss.datasets."""

if __name__ == "datasets":
    raise ImportError(
        "this folder is wsss.datasets, found as 'datasets' because the repository root is on sys.path; "
        "import wsss.datasets, or use the wsss command or `python -P` to reach Hugging Face's datasets"
    )
