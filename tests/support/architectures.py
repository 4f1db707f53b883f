"""Small configs for 144 architectures of `transformers`, as data.

`MODELS` says which class is built for each model type, `SMALL` what every config field of that name is set to,
wherever a config or one of its sub-configs has it, and `OVERRIDES` what a model type needs besides.
"""

from __future__ import annotations

import copy
from typing import Any

SMALL: dict[str, int] = {
    # widths
    "hidden_size": 32, "d_model": 32, "n_embd": 32, "dim": 32, "embed_dim": 32, "embedding_size": 32, "emb_dim": 32,
    "intermediate_size": 64, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "ffn_dim": 64, "d_ff": 64, "n_inner": 64,
    "hidden_dim": 64, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16, "projection_dim": 16,
    "out_hidden_size": 32, "word_embed_proj_dim": 32, "state_size": 8, "expand": 2,
    # depths
    "num_hidden_layers": 2, "num_layers": 2, "n_layer": 2, "n_layers": 2, "encoder_layers": 2, "decoder_layers": 2,
    "num_decoder_layers": 2, "depth": 2,
    # heads and experts
    "num_attention_heads": 4, "num_heads": 4, "n_head": 4, "n_heads": 4, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "d_kv": 8, "q_lora_rank": 16,
    "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8, "num_experts": 4,
    "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2,
    # vocabularies, lengths and images
    "vocab_size": 99, "max_position_embeddings": 64, "n_positions": 64, "max_source_positions": 64,
    "max_target_positions": 64, "image_size": 32, "patch_size": 8,
}  # fmt: skip

TOKEN_IDS = (
    "pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id", "sep_token_id", "cls_token_id",
    "mask_token_id", "unk_token_id",
)  # fmt: skip

MODELS: dict[str, str] = {
    # text, decoders
    "biogpt": "BioGptForCausalLM",
    "bloom": "BloomForCausalLM",
    "codegen": "CodeGenForCausalLM",
    "cohere": "CohereForCausalLM",
    "ctrl": "CTRLLMHeadModel",
    "deepseek_v2": "DeepseekV2ForCausalLM",
    "deepseek_v3": "DeepseekV3ForCausalLM",
    "falcon": "FalconForCausalLM",
    "falcon_mamba": "FalconMambaForCausalLM",
    "gemma": "GemmaForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
    "glm4": "Glm4ForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "gpt_bigcode": "GPTBigCodeForCausalLM",
    "gpt_neo": "GPTNeoForCausalLM",
    "gpt_neox": "GPTNeoXForCausalLM",
    "gpt_oss": "GptOssForCausalLM",
    "gptj": "GPTJForCausalLM",
    "granite": "GraniteForCausalLM",
    "granitemoe": "GraniteMoeForCausalLM",
    "jamba": "JambaForCausalLM",
    "llama": "LlamaForCausalLM",
    "llama4_text": "Llama4ForCausalLM",
    "mamba": "MambaForCausalLM",
    "mamba2": "Mamba2ForCausalLM",
    "mistral": "MistralForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "mpt": "MptForCausalLM",
    "olmo2": "Olmo2ForCausalLM",
    "olmoe": "OlmoeForCausalLM",
    "openai-gpt": "OpenAIGPTLMHeadModel",
    "opt": "OPTForCausalLM",
    "persimmon": "PersimmonForCausalLM",
    "phi": "PhiForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "phimoe": "PhimoeForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen2_moe": "Qwen2MoeForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "qwen3_next": "Qwen3NextForCausalLM",
    "recurrent_gemma": "RecurrentGemmaForCausalLM",
    "rwkv": "RwkvForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
    "stablelm": "StableLmForCausalLM",
    "starcoder2": "Starcoder2ForCausalLM",
    "xglm": "XGLMForCausalLM",
    "xlstm": "xLSTMForCausalLM",
    # text, encoders
    "albert": "AlbertForPreTraining",
    "bert": "BertForPreTraining",
    "big_bird": "BigBirdForPreTraining",
    "canine": "CanineModel",
    "convbert": "ConvBertForMaskedLM",
    "deberta": "DebertaForMaskedLM",
    "deberta-v2": "DebertaV2ForMaskedLM",
    "distilbert": "DistilBertForMaskedLM",
    "electra": "ElectraForPreTraining",
    "fnet": "FNetForPreTraining",
    "funnel": "FunnelForMaskedLM",
    "ibert": "IBertForMaskedLM",
    "longformer": "LongformerForMaskedLM",
    "mobilebert": "MobileBertForPreTraining",
    "modernbert": "ModernBertForMaskedLM",
    "mpnet": "MPNetForMaskedLM",
    "nystromformer": "NystromformerForMaskedLM",
    "reformer": "ReformerForMaskedLM",
    "rembert": "RemBertForMaskedLM",
    "roberta": "RobertaForMaskedLM",
    "splinter": "SplinterForPreTraining",
    "squeezebert": "SqueezeBertForMaskedLM",
    "xlm": "XLMWithLMHeadModel",
    "xlnet": "XLNetLMHeadModel",
    # text, encoder and decoder
    "bart": "BartForConditionalGeneration",
    "blenderbot": "BlenderbotForConditionalGeneration",
    "fsmt": "FSMTForConditionalGeneration",
    "led": "LEDForConditionalGeneration",
    "longt5": "LongT5ForConditionalGeneration",
    "m2m_100": "M2M100ForConditionalGeneration",
    "marian": "MarianMTModel",
    "mbart": "MBartForConditionalGeneration",
    "mt5": "MT5ForConditionalGeneration",
    "pegasus": "PegasusForConditionalGeneration",
    "prophetnet": "ProphetNetForConditionalGeneration",
    "switch_transformers": "SwitchTransformersForConditionalGeneration",
    "t5": "T5ForConditionalGeneration",
    "umt5": "UMT5ForConditionalGeneration",
    # images and video
    "beit": "BeitForMaskedImageModeling",
    "convnext": "ConvNextForImageClassification",
    "deit": "DeiTForMaskedImageModeling",
    "detr": "DetrForObjectDetection",
    "dinov2": "Dinov2ForImageClassification",
    "hiera": "HieraForImageClassification",
    "mobilenet_v2": "MobileNetV2ForImageClassification",
    "mobilevit": "MobileViTForImageClassification",
    "regnet": "RegNetForImageClassification",
    "resnet": "ResNetForImageClassification",
    "sam": "SamModel",
    "segformer": "SegformerForSemanticSegmentation",
    "swin": "SwinForMaskedImageModeling",
    "timesformer": "TimesformerForVideoClassification",
    "videomae": "VideoMAEForPreTraining",
    "vit": "ViTForImageClassification",
    "vit_mae": "ViTMAEForPreTraining",
    "yolos": "YolosForObjectDetection",
    # sound
    "audio-spectrogram-transformer": "ASTForAudioClassification",
    "encodec": "EncodecModel",
    "hubert": "HubertForCTC",
    "seamless_m4t": "SeamlessM4TForTextToText",
    "sew": "SEWForCTC",
    "speech_to_text": "Speech2TextForConditionalGeneration",
    "speecht5": "SpeechT5ForSpeechToText",
    "vits": "VitsModel",
    "wav2vec2": "Wav2Vec2ForPreTraining",
    "wavlm": "WavLMForCTC",
    "whisper": "WhisperForConditionalGeneration",
    # several kinds at once
    "blip": "BlipForConditionalGeneration",
    "blip-2": "Blip2ForConditionalGeneration",
    "chinese_clip": "ChineseCLIPModel",
    "clap": "ClapModel",
    "clip": "CLIPModel",
    "flava": "FlavaModel",
    "git": "GitForCausalLM",
    "groupvit": "GroupViTModel",
    "idefics": "IdeficsForVisionText2Text",
    "kosmos-2": "Kosmos2ForConditionalGeneration",
    "layoutlmv3": "LayoutLMv3ForTokenClassification",
    "llava": "LlavaForConditionalGeneration",
    "lxmert": "LxmertForPreTraining",
    "mllama": "MllamaForConditionalGeneration",
    "owlvit": "OwlViTForObjectDetection",
    "paligemma": "PaliGemmaForConditionalGeneration",
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen2_vl": "Qwen2VLForConditionalGeneration",
    "qwen3_vl": "Qwen3VLForConditionalGeneration",
    "siglip": "SiglipModel",
    "tapas": "TapasForMaskedLM",
    "vilt": "ViltForMaskedLM",
    "visual_bert": "VisualBertForPreTraining",
    # series, decisions and anything else
    "decision_transformer": "DecisionTransformerModel",
    "informer": "InformerForPrediction",
    "patchtst": "PatchTSTForPretraining",
    "perceiver": "PerceiverForMaskedLM",
    "timesfm": "TimesFmModel",
}

_TEXT = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 99,
}  # fmt: skip
_IMAGE = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 32,
    "patch_size": 8,
}  # fmt: skip

OVERRIDES: dict[str, dict[str, Any]] = {
    "blip-2": {
        "text_config": {"model_type": "opt", "hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2,
                        "num_attention_heads": 4, "vocab_size": 99, "word_embed_proj_dim": 32,
                        "pad_token_id": 1, "bos_token_id": 1, "eos_token_id": 1},
    },
    "clap": {
        "audio_config": {"hidden_size": 64, "patch_embeds_hidden_size": 8, "depths": [1, 1, 1, 1],
                         "num_attention_heads": [2, 2, 2, 2], "num_hidden_layers": 4},
    },
    "convnext": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "patch_size": 4},
    "detr": {
        "use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None,
        "backbone_config": {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 24, 32],
                            "depths": [1, 1, 1, 1], "out_features": ["stage4"]},
    },
    "encodec": {"num_filters": 4, "codebook_size": 16, "codebook_dim": 16, "hidden_size": 16,
                "upsampling_ratios": [2, 2], "num_lstm_layers": 1},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "informer": {"prediction_length": 4, "lags_sequence": [1, 2]},
    "llava": {
        "text_config": {"model_type": "llama", **_TEXT},
        "vision_config": {"model_type": "clip_vision_model", **_IMAGE},
    },
    "mamba2": {"num_heads": 8, "n_groups": 2},
    "paligemma": {
        "text_config": {"model_type": "gemma", **_TEXT},
        "vision_config": {"model_type": "siglip_vision_model", **_IMAGE},
    },
    "perceiver": {"num_latents": 8, "d_latents": 32, "num_blocks": 1, "num_self_attends_per_block": 2,
                  "num_self_attention_heads": 4, "num_cross_attention_heads": 4, "qk_channels": 32, "v_channels": 32},
    "reformer": {"attn_layers": ["local", "lsh"], "axial_pos_shape": [8, 8], "axial_pos_embds_dim": [16, 16],
                 "feed_forward_size": 64, "is_decoder": False},
    "regnet": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "groups_width": 4},
    "resnet": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "embedding_size": 8},
    "vits": {"upsample_initial_channel": 16, "wavenet_dilation_rate": 1, "duration_predictor_filter_channels": 16,
             "flow_size": 32, "prior_encoder_num_wavenet_layers": 2, "posterior_encoder_num_wavenet_layers": 2,
             "spectrogram_bins": 17, "prior_encoder_num_flows": 2},
    "vit_mae": {"decoder_hidden_size": 32, "decoder_intermediate_size": 64, "decoder_num_hidden_layers": 2,
                "decoder_num_attention_heads": 4},
}  # fmt: skip

IMAGES = {
    "beit", "convnext", "deit", "detr", "dinov2", "mobilenet_v2", "mobilevit", "regnet", "resnet", "segformer", "vit",
    "vit_mae", "yolos",
}  # fmt: skip
TEXT_AND_IMAGES = {"blip", "chinese_clip", "clip", "groupvit", "siglip", "vilt"}
TWO_TEXTS = {
    "blenderbot", "longt5", "m2m_100", "marian", "mt5", "pegasus", "prophetnet", "seamless_m4t", "switch_transformers",
    "t5", "umt5",
}  # fmt: skip
OTHER_INPUTS = {
    "audio-spectrogram-transformer", "blip-2", "clap", "codegen", "decision_transformer", "deepseek_v2", "deepseek_v3",
    "encodec", "gptj", "hiera", "hubert", "idefics", "informer", "jamba", "kosmos-2", "layoutlmv3", "lxmert", "owlvit",
    "patchtst", "qwen2_5_vl", "qwen2_vl", "qwen3_next", "recurrent_gemma", "reformer", "sam", "sew", "speech_to_text",
    "speecht5", "splinter", "swin", "timesfm", "timesformer", "videomae", "wav2vec2", "wavlm", "whisper", "xlstm",
}  # fmt: skip
"""What takes neither tokens nor an image alone, or no forward at these sizes."""


def inputs(model_type: str) -> dict[str, Any]:
    """What a forward of the model of this type takes by name: 4 texts of 16 tokens, 4 images of 32 × 32, or both."""
    import torch

    torch.manual_seed(0)
    tokens, images = torch.randint(3, 90, (4, 16)), torch.randn(4, 3, 32, 32)
    if model_type in IMAGES:
        return {"pixel_values": images}
    made = {"input_ids": tokens}
    if model_type in TWO_TEXTS:
        made["decoder_input_ids"] = tokens
    elif model_type in TEXT_AND_IMAGES:
        made["pixel_values"] = images
    return made


def small_fields(config_class: type, depth: int = 0) -> dict[str, Any]:
    """Return the fields of `SMALL` that a config of this class has, its sub-configs' below their names."""
    default = config_class()
    renamed = getattr(config_class, "attribute_map", {})
    fields: dict[str, Any] = {
        name: value
        for name, value in SMALL.items()
        if renamed.get(name) not in SMALL and type(vars(default).get(name)) is int
    }
    for name in TOKEN_IDS:
        value = vars(default).get(name)
        if type(value) is int and value >= SMALL["vocab_size"]:
            fields[name] = 1
    for name, inner in getattr(config_class, "sub_configs", {}).items():
        if depth < 3 and inner.__name__ != "AutoConfig":
            fields[name] = small_fields(inner, depth + 1)
    return fields


def build(model_type: str) -> Any:
    """Build the model of this type with random weights on the CPU, from its small config."""
    import torch
    import transformers

    model_class = getattr(transformers, MODELS[model_type])
    fields = _merged(small_fields(model_class.config_class), OVERRIDES.get(model_type, {}))
    torch.manual_seed(0)
    return model_class(model_class.config_class(**fields))


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(base)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict) and "model_type" not in value
        result[name] = _merged(result[name], value) if both else copy.deepcopy(value)
    return result
