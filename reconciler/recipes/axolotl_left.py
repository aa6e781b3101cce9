"""Keys of axolotl that have no place in a manifest, by the reason."""

from __future__ import annotations

from collections.abc import Mapping

LEFT: Mapping[str, str] = {
    "Loraform sets it itself": """
        output_dir dataset_prepared_path dataset_processes dataset_num_proc dataset_keep_in_memory skip_prepare_dataset
        num_dataset_shards_to_save preprocess_iterable is_preprocess remove_unused_columns save_safetensors
        save_first_step resume_from_checkpoint auto_resume_from_checkpoints dynamic_checkpoint hf_use_auth_token
        dataset_shard_num dataset_shard_idx total_num_tokens total_supervised_tokens axolotl_config_path strict
        sample_packing_eff_est tokenizer_save_jinja_files debug world_size local_rank ddp device device_map
        sample_packing_mp_start_method shuffle_merged_datasets shuffle_before_merging_datasets max_memory
        gpu_memory_limit low_cpu_mem_usage include_tokens_per_second include_tkps gc_steps gc_collect_steps
        experimental_skip_move_to_device lora_on_cpu qlora_sharded_model_loading torch_dtype profiler_steps
        profiler_steps_start capabilities env_capabilities test_value""",
    "read from the base's own files": """
        model_type type_of_model tokenizer_type tokenizer_use_fast tokenizer_legacy tokenizer_use_mistral_common
        processor_type processor_kwargs base_model_config model_config cls_model_config overrides_of_model_config
        overrides_of_model_kwargs is_falcon_derived_model is_llama_derived_model is_mistral_derived_model
        is_qwen_derived_model model_quantization_config model_quantization_config_kwargs eot_tokens rope_scaling""",
    "how training is spread over machines is `run.machine` (accelerator_count, replica_count)": """
        deepspeed deepcompile fsdp fsdp_config fsdp_version fsdp_final_state_dict_type dp_shard_size dp_replicate_size
        sequence_parallel_degree context_parallel_size context_parapllel_size heads_k_stride ring_attn_func
        tensor_parallel_size expert_parallel_size expert_parallel_token_capacity expert_parallel_num_nvl_bytes
        ddp_bucket_cap_mb ddp_broadcast_buffers ddp_find_unused_parameters use_ray ray_run_name ray_num_workers
        resources_per_worker""",
    "reports go to the run record and the log; for a tracker set `training.report_to` and `run.env`": """
        use_wandb wandb_name wandb_run_id wandb_mode wandb_project wandb_entity wandb_watch wandb_log_model use_mlflow
        mlflow_tracking_uri mlflow_experiment_name mlflow_run_name hf_mlflow_log_artifacts use_comet comet_api_key
        comet_workspace comet_project_name comet_experiment_key comet_mode comet_online comet_experiment_config
        use_trackio trackio_project_name trackio_run_name trackio_space_id use_otel_metrics otel_metrics_host
        otel_metrics_port use_tensorboard use_swanlab swanlab_project swanlab_mode swanlab_log_completions
        swanlab_experiment_name swanlab_description swanlab_completion_max_buffer swanlab_completion_log_interval
        swanlab_workspace swanlab_log_model""",
    "the artifact goes into the target's bucket": "hub_model_id hub_strategy hub_revision push_dataset_to_hub",
    "how it is computed, not what is learnt: trl and transformers choose": """
        pad_to_sequence_len sample_packing_group_size sample_packing_bin_size sample_packing_sequentially
        multipack_real_batches eval_sequence_len lora_mlp_kernel lora_qkv_kernel lora_o_kernel lora_embedding_kernel
        chunked_cross_entropy chunked_cross_entropy_num_chunks cut_cross_entropy use_kernels fused_attn_kernel
        experts_implementation tiled_mlp tiled_mlp_num_shards tiled_mlp_use_original_mlp flash_attn_cross_entropy
        flash_attn_fuse_mlp flash_attn_rms_norm flash_optimum flash_attn_d512 sdpa_varlen flex_attn_compile_kwargs
        gemma4_hybrid_attn_impl large_head_attention layer_offloading selective_checkpointing
        peft_autocast_adapter_dtype use_scattermoe use_sonicmoe dsv4_fp4_grouped_mode use_glm_dsa_kernels
        use_dsv4_kernels torch_compile_options
        fp32_norms fp32_norm_classes liger_layer_norm liger_rms_norm_gated embeddings_skip_upcast nvfp4_merge_aware
        llama4_linearized_experts quantize_moe_experts fsdp_state_dict_type""",
    "another numeric format than trl's own (bf16, fp16)": """
        fp8 fp8_enable_fsdp_float8_all_gather bfloat16 float16 float32 use_onebitllms qat quantization gptq
        gptq_groupsize gptq_model_v1 gptq_disable_exllama""",
    "an optimiser or schedule of axolotl's own": """
        embedding_lr embedding_lr_scale torchdistx_path lr_quadratic_warmup cosine_constant_lr_ratio lr_div_factor
        lr_groups adam_epsilon2 adam_beta3 dion_lr dion_momentum dion_rank_fraction dion_rank_multiple_of qgalore_rank
        qgalore_update_proj_gap qgalore_scale qgalore_proj_type qgalore_proj_quant qgalore_proj_bits
        qgalore_proj_group_size qgalore_cos_threshold qgalore_gamma_proj qgalore_queue_size loraplus_lr_ratio
        loraplus_lr_embedding lisa_n_layers lisa_step_interval lisa_layers_attribute relora relora_prune_ratio
        relora_prune_method relora_cpu_offload jagged_restart_steps jagged_restart_warmup_steps
        jagged_restart_anneal_steps adam_eps noisy_embedding_alpha""",
    "a way of training that trl's SFTTrainer does not have": """
        trainer_cls trl vllm ebft reinit_weights unfrozen_parameters curriculum_sampling use_pose
        pose_split_on_token_ids pose_max_context_len pose_num_chunks use_eaft eaft_alpha eaft_k scaling_softmax
        scaling_softmax_factor scaling_softmax_bias loss_watchdog_threshold loss_watchdog_patience xformers_attention
        sage_attention s2_attention freeze_mm_modules image_size image_resize_algorithm role_boundaries""",
    "an adapter with another vocabulary cannot be served beside its base": """
        tokens added_tokens_overrides resize_token_embeddings_to_32x mean_resizing_embeddings shrink_embeddings
        fix_untrained_tokens""",
    "scoring is `evaluation.metrics`, on the eval rows": """
        do_causal_lm_eval eval_causal_lm_metrics do_bench_eval bench_dataset bench_split eval_table_size
        eval_max_new_tokens generate_samples num_generation_samples generation_max_new_tokens generation_temperature
        generation_top_p generation_top_k generation_prompt_ratio generation_do_sample""",
    "it belongs to preference or reward training": """
        center_rewards_coefficient num_labels dpo_use_weighting dpo_label_smoothing precompute_ref_log_probs
        dpo_use_liger_kernel dpo_padding_free dpo_loss_type dpo_loss_weights dpo_beta dpo_use_logits_to_keep
        dpo_generate_during_eval dpo_norm_loss rpo_alpha orpo_alpha simpo_gamma cpo_alpha kto_desirable_weight
        kto_undesirable_weight rl_beta max_prompt_len rl reward_model process_reward_model""",
    "rows are read whole": """
        streaming streaming_multipack_buffer_size pretrain_multipack_buffer_size pretrain_multipack_attn
        pretraining_sample_concatenation pretraining_dataset min_sample_len""",
    "merging is `serving.form: merged`": "merge_lora merge_method",
    "a template's own variables: write them into model.chat_template": "chat_template_kwargs default_system_message",
    "a page to try a model: `loraform predict` asks the served one": """
        gradio_title gradio_share gradio_server_name gradio_server_port gradio_max_new_tokens gradio_temperature""",
    "use `max_length` (`sequence_len`)": "max_packed_sequence_len",
    "use `eval_strategy`": "evaluation_strategy",
}
"""Why not -> the keys."""
