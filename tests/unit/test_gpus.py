"""Which resources are GPUs, so that who was granted none sees none."""

import pytest

from xnathub_conf.values.gpus import no_gpus
from xnathub_conf.values.variables import refused

GPUS = (
    "gpu", "GPU", "nvidia.com/gpu", "NVIDIA-GPU", "nvidia.com/mig-1g.5gb", "amd.com/gpu", "habana.ai/gaudi", "intel.com/gpu", "huawei.com/Ascend910",
    "mthreads.com/vgpu", "a100", "A100-80", "tesla-v100", "h200", "gh200", "l40s", "T4", "rtx6000", "mi300x", "K80",
    "gpu_large", "gpuLarge", "lab-gpu0", "GPUs", "nvidia.com/gpu.shared", "gpu.intel.com/i915", "teslaV100", "a100gpu", "RTX-A6000", "nvidia-a100-sxm4-80gb", "NVIDIA", "a10g",
    "amd.com/mi250x", "tencent.com/vcuda-core", "big-rtx", "dgx-a100", "v100_shared", "L40S",
)  # fmt: skip
OTHERS = ("fpga", "licence", "data100", "ssd", "lab12", "example.org/a1", "xnat", "t400", "memory64", "",
    "licence_p40", "licence-gpu", "cuda_license", "nvidia.com/licence", "nvidia.com/hostdev", "seats-a100", "lab_a100_room", "nogpus2go", "gputools", "data-p40", "rack.v12",
    "teslascanner", "amd.com/nic", "intel.com/sgx", "80gb", "com",
)  # fmt: skip


@pytest.mark.parametrize("name", GPUS)
def test_who_was_granted_a_gpu_keeps_what_the_image_says(name):
    assert no_gpus(["fpga", name]) == {}


@pytest.mark.parametrize("name", OTHERS)
def test_who_was_granted_something_else_sees_no_gpu(name):
    assert no_gpus([name])["NVIDIA_VISIBLE_DEVICES"] == "void"


def test_what_hides_gpus_is_not_xnats_to_set():
    assert all(refused(name, "xnat") for name in no_gpus([]))
