variable "table_name" {
  type    = string
  default = "my-flags"
}

variable "deletion_protection" {
  description = "Refuse to delete the table until this is set to false."
  type        = bool
  default     = true
}

variable "point_in_time_recovery" {
  description = "Keep backups for 35 days. They are not needed, because a connected process fills an empty table."
  type        = bool
  default     = false
}

variable "prefixes" {
  description = "The values of the Prefix option in your processes. For each there are policies for this prefix alone."
  type        = set(string)
  default     = []
}

variable "kms_key_arn" {
  description = "The ARN of a customer managed KMS key. Without it, DynamoDB encrypts the table with a key of its own."
  type        = string
  default     = null
}

variable "trusted_service" {
  description = "The service that your processes run on, such as lambda.amazonaws.com. If it is set, there is a role for each policy."
  type        = string
  default     = null
}

locals {
  # IAM is global: the same table name in another Region needs other names there.
  iam_name = "${var.table_name}-${data.aws_region.current.id}"

  name_characters               = "/[^a-zA-Z0-9+=,.@_-]/"
  whole_table_policies          = { read-only = aws_iam_policy.read_only.arn, read-write = aws_iam_policy.read_write.arn }
  one_prefix_read_only_policies = { for prefix, policy in aws_iam_policy.one_prefix_read_only : "read-only-prefix-${prefix}" => policy.arn }
  one_prefix_policies           = { for prefix, policy in aws_iam_policy.one_prefix : "prefix-${prefix}" => policy.arn }
  policies                      = merge(local.whole_table_policies, local.one_prefix_read_only_policies, local.one_prefix_policies)
  roles                         = var.trusted_service == null ? {} : local.policies
}

resource "aws_dynamodb_table" "flags" {
  name                        = var.table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "namespace"
  range_key                   = "key"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "namespace"
    type = "S"
  }

  attribute {
    name = "key"
    type = "S"
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  server_side_encryption {
    enabled     = var.kms_key_arn != null
    kms_key_arn = var.kms_key_arn
  }
}

resource "aws_iam_policy" "read_only" {
  name   = "${local.iam_name}-read-only"
  policy = templatefile("${path.module}/policies/read-only.json", { table_arn = aws_dynamodb_table.flags.arn })
}

resource "aws_iam_policy" "read_write" {
  name   = "${local.iam_name}-read-write"
  policy = templatefile("${path.module}/policies/read-write.json", { table_arn = aws_dynamodb_table.flags.arn })
}

resource "aws_iam_policy" "one_prefix_read_only" {
  for_each = var.prefixes
  name     = "${local.iam_name}-read-only-prefix-${replace(each.key, local.name_characters, "-")}"
  policy   = templatefile("${path.module}/policies/one-prefix-read-only.json", { table_arn = aws_dynamodb_table.flags.arn, prefix = each.key })
}

resource "aws_iam_policy" "one_prefix" {
  for_each = var.prefixes
  name     = "${local.iam_name}-prefix-${replace(each.key, local.name_characters, "-")}"
  policy   = templatefile("${path.module}/policies/one-prefix.json", { table_arn = aws_dynamodb_table.flags.arn, prefix = each.key })
}

resource "aws_iam_policy" "use_key" {
  count  = var.kms_key_arn == null ? 0 : 1
  name   = "${local.iam_name}-use-key"
  policy = templatefile("${path.module}/policies/use-key.json", { key_arn = var.kms_key_arn })
}

data "aws_iam_policy_document" "trust" {
  count = var.trusted_service == null ? 0 : 1

  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]

    principals {
      type        = "Service"
      identifiers = [var.trusted_service]
    }
  }
}

resource "aws_iam_role" "process" {
  for_each           = local.roles
  name               = "${local.iam_name}-${replace(each.key, local.name_characters, "-")}"
  assume_role_policy = data.aws_iam_policy_document.trust[0].json
}

resource "aws_iam_role_policy_attachment" "process" {
  for_each   = local.roles
  role       = aws_iam_role.process[each.key].name
  policy_arn = each.value
}

resource "aws_iam_role_policy_attachment" "use_key" {
  for_each   = var.kms_key_arn == null ? {} : local.roles
  role       = aws_iam_role.process[each.key].name
  policy_arn = aws_iam_policy.use_key[0].arn
}

resource "aws_iam_role_policy_attachment" "lambda_logs" {
  for_each   = var.trusted_service == "lambda.amazonaws.com" ? local.roles : {}
  role       = aws_iam_role.process[each.key].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

data "aws_partition" "current" {
}

data "aws_region" "current" {
}

resource "aws_iam_instance_profile" "process" {
  for_each = var.trusted_service == "ec2.amazonaws.com" ? local.roles : {}
  name     = aws_iam_role.process[each.key].name
  role     = aws_iam_role.process[each.key].name
}

output "table_arn" {
  value = aws_dynamodb_table.flags.arn
}

output "policy_arns" {
  description = "By their names: read-only, read-write and, for each prefix, prefix-NAME and read-only-prefix-NAME."
  value       = local.policies
}

output "role_arns" {
  description = "By the names of their policies. Empty without trusted_service."
  value       = { for name, role in aws_iam_role.process : name => role.arn }
}
